"""What may differ between a run and the command that resumes it.

Each difference is free (it changes no metric, or the data's fingerprint guards it), allowed by name with
``allow_changes``, or refused with both values. What the network itself depends on can never change.
"""

from collections.abc import Iterable, Mapping, Sequence

from segexp.errors import some
from segexp.runs.configuration import Config
from segexp.runs.recipe import differing
from segexp.runs.record import Changes, Record

ON_MACHINE = (  # where and how the same is computed
    *("allow_changes", "performance.compile", "trainer.accelerator", "trainer.devices", "trainer.num_nodes"),
    *("trainer.strategy", "trainer.default_root_dir", "trainer.enable_model_summary", "trainer.plugins"),
    "trainer.profiler",
)
FREE = (
    *ON_MACHINE,
    *("data.source", "data.split", "callbacks.last", "callbacks.early_stopping"),
    *("minutes", "trainer.max_epochs", "trainer.max_time", "trainer.max_steps"),
)
# What weights and the state of the optimizer were made for.
FIXED = ("model", "data.labels", "data.channels", "data.geometry", "optimizer._target_", "scheduler._target_")
SHOWN = 5  # differences that are named where more differ


def carry_over(recorded: Record, config: Config, words: Iterable[str]) -> None:
    """Keep the precision of a run on a machine that would choose another one, unless an override names it."""
    precision = recorded.get("config", {}).get("trainer", {}).get("precision")
    if precision and not any(word.startswith("trainer.precision=") for word in words):
        config["trainer"]["precision"] = precision


def require_same_settings(recorded: Record, config: Config, allowed: Sequence[str]) -> Changes:
    """Compare the settings of a run with those that it is to be resumed with.

    Args:
        recorded: Content of its run.json.
        config: Resolved configuration of the command that resumes it.
        allowed: Keys or groups that may differ, such as "optimizer.lr" or "augment".

    Returns:
        What differs and was allowed by name: the recorded and the present value by key.

    Raises:
        ValueError: Others differ; names them with both values and the override that would allow them.
    """
    changes = {key: pair for key, pair in differing(recorded, config).items() if not lies_in(key, FREE)}
    fixed = [key for key in changes if lies_in(key, FIXED)]
    refused = fixed or [key for key in changes if not lies_in(key, allowed)]
    if not refused:
        return changes
    pairs = some((f"{key}={changes[key][1]} (the run has {changes[key][0]})" for key in refused), SHOWN)
    remedy = (
        "weights and optimizer were made for that: leave it out, or start a new run"
        if fixed
        else f"leave it out, or go on with it by allow_changes=[{','.join(refused)}]"
    )
    raise ValueError(f"resume={config['resume']}: {pairs}; {remedy}")


def require_same_data(
    recorded: Record, fingerprint: str, split: Mapping[str, Sequence[str]], resume: object, allowed: Iterable[str]
) -> None:
    """Compare the data of a run with those that it is to be resumed on.

    Args:
        recorded: Content of its run.json.
        fingerprint: Fingerprint of the data as they are now.
        split: Cases of each split, as they are now.
        resume: Folder of the run, for the message.
        allowed: Keys that may differ; "data" allows other data, but no case to change from learning to scoring.

    Raises:
        ValueError: They differ; says how, and what to do.
    """
    old = recorded.get("split", {})
    sides = {case: side for side, cases in old.items() for case in cases}
    moved = [
        f"{case} from {sides[case]} to {side}"
        for side, cases in split.items()
        for case in cases
        if sides.get(case, side) != side
    ]
    if moved:
        raise ValueError(
            f"resume={resume}: cases would change their split: {some(moved, SHOWN)}; "
            f"keep it with data.split.method=list data.split.lists={resume}/run.json allow_changes=[data], "
            "or start a new run"
        )
    if fingerprint == recorded.get("data_fingerprint", fingerprint) or "data" in allowed:
        return
    names, present = ({case for cases in side.values() for case in cases} for side in (old, split))
    added, gone = sorted(present - names), sorted(names - present)
    parts = [
        f"{len(cases)} cases {what}, such as {cases[0]}" for cases, what in ((added, "new"), (gone, "gone")) if cases
    ]
    what = "; ".join(parts) or "pixels, masks or unused cases changed"
    raise ValueError(
        f"resume={resume}: the data are no longer those of the run ({what}): "
        "bring them back, start a new run, or go on with the present data by allow_changes=[data]"
    )


def lies_in(key: str, groups: Iterable[str]) -> bool:
    """Whether a dotted key is, or lies in, one of some keys."""
    return any(key == group or key.startswith(f"{group}.") for group in groups)
