"""Which of several processes of one run this is, by the variables that Lightning goes by."""

import os

# Of the starters that tell the rank of a process; the first variable that is set counts.
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def follows() -> bool:
    """Whether this is another process of a training than the first one."""
    ranks = (os.environ.get(name) for name in RANKS)
    return next(filter(None, ranks), "0") != "0"
