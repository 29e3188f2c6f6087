"""Runs that held out different cases, as the folds of a cross-validation: which ones, and whether they go together."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from segexp.comparison.experiments import differences
from segexp.errors import short_path, some
from segexp.evaluation.trained import Trained
from segexp.runs.record import CaseNames, SplitName
from segexp.runs.runs import Run

OF_THE_FOLD = "data.split."  # settings that may differ
MOST_SHOWN = 4  # experiments, of several


def held_out_split(runs: Sequence[Trained], asked: str) -> SplitName | None:
    """Find the split that differs among runs, so that what one holds out another has learned from.

    Args:
        runs: Runs.
        asked: Split that is asked for: "test", "val", "train", or "auto" = test where a run has test cases, else val.

    Returns:
        None where the runs hold out the same cases, or none has learned from those of another: they are an ensemble.
    """
    splits = [_split(run) for run in runs]
    name = asked
    if asked == "auto":
        name = "test" if any(split.get("test") for split in splits) else "val"
    held = [frozenset(split.get(name, ())) for split in splits]
    every = frozenset().union(*held)
    learned = any(every.intersection(split.get("train", ())) for split in splits)
    return cast(SplitName, name) if name != "train" and len(set(held)) > 1 and learned else None


def require_cross_validation(runs: Sequence[Trained], split: SplitName) -> None:
    """Refuse runs that are no cross-validation of one experiment, or leave a case out.

    Raises:
        ValueError: Runs differ in data or settings, one has learned from the cases that it held out, or cases are held
            out by none; names them and the remedy.
    """
    _require_one_experiment([Run(run.folder, run.record) for run in runs])
    held: set[str] = set()
    used: set[str] = set()
    for run in runs:
        cases = _split(run)
        own, learned = cases.get(split, []), set(cases.get("train", ()))
        both = [name for name in own if name in learned]
        if both or not own:
            said = f"has learned from {some(both, 3)}, which it should have held out" if both else "holds out no cases"
            raise ValueError(f"split={split}: {short_path(run.folder)} {said}: leave that run out")
        held.update(own)
        used.update(learned, own, cases.get("val", ()) if split == "test" else ())
    lacking = sorted(used - held)
    if lacking:
        raise ValueError(
            f"{len(lacking)} of {len(used)} cases are {split} cases of none of the {len(runs)} runs, such as "
            f"{some(lacking, 3)}: train the folds that are missing (the command of the sweep resumes it), or "
            "out_of_fold=false scores the runs as an ensemble"
        )


def _split(run: Trained) -> CaseNames:
    """Cases by split, as the run recorded them."""
    return run.record.get("split") or {}


def _require_one_experiment(runs: Sequence[Run]) -> None:
    """Refuse runs of several data sets or settings; what tells folds and seeds apart may differ."""
    prints: dict[str | None, Run] = {}
    for run in runs:
        prints.setdefault(run.record.get("data_fingerprint"), run)
    if len(prints) > 1:
        first, second, *_ = (short_path(run.folder) for run in prints.values())
        raise ValueError(f"{first} and {second} were trained on different data: name runs of the same data")
    groups: dict[str, list[Run]] = {}
    for run in runs:
        settings = {key: value for key, value in run.settings.items() if not key.startswith(OF_THE_FOLD)}
        groups.setdefault(json.dumps(settings, sort_keys=True, default=str), []).append(run)
    if len(groups) > 1:
        firsts = [members[0] for members in groups.values()]
        keys = [row["key"] for row in differences(firsts) if not row["key"].startswith(OF_THE_FOLD)]
        words = [runs_in_words([run.folder for run in members]) for members in groups.values()]
        raise ValueError(
            f"the {len(runs)} runs are of {len(groups)} settings, which differ in {some(keys, 5)}: out-of-fold scores "
            "are of one, so name its runs:\n  " + "\n  ".join(words[:MOST_SHOWN])
        )


def runs_in_words(folders: Sequence[Path]) -> str:
    """Write runs as an argument for a shell."""
    return shlex.quote("run=" + ",".join(str(short_path(folder)) for folder in folders))
