"""segexp: research experiments with U-Nets on medical and biological images."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segexp.api import TrainedRun as TrainedRun
    from segexp.api import find_runs as find_runs
    from segexp.api import open_run as open_run
    from segexp.api import train as train
    from segexp.config import compose as compose

__version__ = "0.2.0"

# albumentations asks the network for a newer release at import; an experiment must not.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

LAZY = {  # imported on first use: PyTorch and Lightning take seconds
    **dict.fromkeys(("TrainedRun", "find_runs", "open_run", "train"), "segexp.api"),
    "compose": "segexp.config",
}


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module 'segexp' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *LAZY])
