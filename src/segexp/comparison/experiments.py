"""From runs to experiments: runs that differ in seed and fold alone are replicates of one."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from segexp.comparison import statistics
from segexp.runs.runs import Run

LOWER_IS_BETTER = ("hd", "assd", "ece", "loss", "adapted_rand_error", "volume_difference")
KEYS_OF_CASES = ("split", "case", "class")


@dataclass(frozen=True)
class Experiment:
    """Runs that repeat one setting.

    Args:
        name: Short, told by what differs among the experiments.
        runs: That ended well, one per seed and fold.
        unfinished: That did not.
    """

    name: str
    runs: list[Run]
    unfinished: list[Run]

    @property
    def first(self) -> Run:
        """Any of its runs, for what all share."""
        return (self.runs or self.unfinished)[0]

    @cached_property
    def classes(self) -> list[str]:
        """Classes that cases.csv tells of."""
        return list(dict.fromkeys(row["class"] for run in self.runs for row in run.cases))

    @cached_property
    def metrics(self) -> list[str]:
        """Metrics that are measured per case."""
        tables = [run.cases for run in self.runs if run.cases]
        columns = dict.fromkeys(key for rows in tables for key in rows[0] if key not in KEYS_OF_CASES)
        return [name for name in columns if any(row.get(name) for rows in tables for row in rows)]

    def scores(self, metric: str, label: str | None = None) -> statistics.Scores:
        """Scores per replicate and case.

        Args:
            metric: Column of cases.csv.
            label: Class; None = mean over the classes that are defined in a case.
        """
        if (metric, label) not in self._gathered:
            runs = [statistics.Run(*_replicate(run), _scores(run, metric, label)) for run in self.runs]
            self._gathered[metric, label] = statistics.gather(runs)
        return self._gathered[metric, label]

    @cached_property
    def _gathered(self) -> dict[tuple[str, str | None], statistics.Scores]:
        return {}

    def of_sets(self) -> dict[str, list[float]]:
        """Figures that only whole sets of cases have, such as V_rand, by name: one per run."""
        names = [name for name in self.first.figures if not self._per_case(name)]
        return {name: [run.figures.get(name, math.nan) for run in self.runs] for name in names}

    def _per_case(self, figure: str) -> bool:
        return any(figure == name or figure in {f"{name}_{label}" for label in self.classes} for name in self.metrics)


def _replicate(run: Run) -> tuple[int, int | None]:
    seed, fold = run.replicate
    return int(seed), None if fold is None else int(fold)


def _scores(run: Run, metric: str, label: str | None) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in run.cases:
        if label is None or row["class"] == label:
            found.setdefault(row["case"], []).append(float(row.get(metric) or math.nan))
    return {case: _mean([value for value in values if not math.isnan(value)]) for case, values in found.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def group(runs: Sequence[Run]) -> list[Experiment]:
    """Gather runs into experiments, in order of appearance; of equal replicates the last one that ended counts."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(json.dumps(run.settings, sort_keys=True, default=str), []).append(run)
    names = labels([found[0] for found in members.values()])
    return [_experiment(name, found) for name, found in zip(names, members.values(), strict=True)]


def _experiment(name: str, runs: list[Run]) -> Experiment:
    ended = {str(run.replicate): run for run in sorted(runs, key=lambda run: str(run.record.get("end"))) if run.results}
    return Experiment(name, list(ended.values()), [run for run in runs if not run.results])


def labels(runs: Sequence[Run]) -> list[str]:
    """Short names: the values of what differs; of a lone one its choices; the folder where that tells nothing."""
    if len(runs) == 1:
        chosen = [runs[0].choices.get(group) for group in ("experiment", "data", "model", "loss")]
        return [" ".join(str(option) for option in chosen if option) or runs[0].folder.name]
    rows = [row for row in differences(runs) if not row["follows"]]
    told = [" ".join(_short(row, index) for row in rows[:6]) for index in range(len(runs))]
    unique = len(set(told)) == len(told) and all(told)
    return told if unique else [run.folder.name for run in runs]


def _short(row: dict[str, Any], index: int) -> str:
    key, value = row["key"], row["values"][index]
    return str(value) if "." not in key else f"{key.rpartition('.')[2]}={value}"


def differences(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What differs among the settings of runs, choices of groups first.

    Returns:
        Rows {"key", "values", "follows"}, a value per run; None = the run does not have the key. ``follows`` is the
        group whose choice alone sets the value, else None. Keys that only some options of a group have are left out.
    """
    rows = [_row(name, [run.choices.get(name) for run in runs]) for name in _keys([run.choices for run in runs])]
    rows = [row for row in rows if len(set(row["values"])) > 1 and "/" not in row["key"]]
    chosen = {row["key"]: row["values"] for row in rows}
    for key in _keys([run.settings for run in runs]):
        values = [run.settings.get(key) for run in runs]
        group = key.partition(".")[0]
        told = group in chosen and ("_target_" in key or any(key not in run.settings for run in runs))
        if not told and len({str(value) for value in values}) > 1:
            follows = group in chosen and len({str(pair) for pair in zip(chosen[group], values, strict=True)}) == len(
                set(chosen[group])
            )
            rows.append(_row(key, values, group if follows else None))
    return rows


def _row(key: str, values: list[Any], follows: str | None = None) -> dict[str, Any]:
    return {"key": key, "values": values, "follows": follows}


def _keys(nodes: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for node in nodes for key in node))


def better(metric: str) -> str:
    """Whether "higher" or "lower" is better."""
    return "lower" if metric.startswith(LOWER_IS_BETTER) else "higher"


def warnings(experiments: Sequence[Experiment]) -> list[str]:
    """What makes scores incomparable, in words."""
    runs = [run for experiment in experiments for run in experiment.runs]
    asked = {
        "data": ("data fingerprints", lambda run: run.record.get("data_fingerprint")),
        "cases": ("scored cases", _scored),
        "code": ("code versions", _code),
        "versions": ("versions of torch", lambda run: run.record.get("packages", {}).get("torch")),
        "machine": ("machines", _hardware),
        "precision": ("precisions", lambda run: run.config.get("trainer.precision")),
    }
    found = []
    for effect, (what, ask) in asked.items():
        if len({str(ask(run)) for run in runs}) > 1 and not (effect == "cases" and _same_folds(experiments)):
            found.append(f"the {what} differ{EFFECTS[effect]}")
    for metric in _keys([run.results["protocol"][run.side] for run in runs]):
        if len({run.results["protocol"][run.side].get(metric) for run in runs}) > 1:
            found.append(f"{metric} is defined differently in some runs: its figures do not compare")
    sides = {run.side for run in runs}
    if "val" in sides:
        found.append("the scored cases also chose the epoch (no test cases): figures are too kind")
    unfinished = [run for experiment in experiments for run in experiment.unfinished]
    if unfinished:
        found.append(f"{len(unfinished)} runs have no results and are left out, such as {unfinished[0].folder}")
    return found


EFFECTS = {
    "data": ": their scores do not compare",
    "cases": ": only the cases that both scored are compared",
    "code": ": a difference may come from the code",
    "versions": ": small differences may come from it",
    "machine": ": times do not compare, scores only nearly",
    "precision": ": part of the comparison, or an accident",
}


def _same_folds(experiments: Sequence[Experiment]) -> bool:
    """Whether runs of the same fold score the same cases throughout."""
    by_fold: dict[str, set[str]] = {}
    for experiment in experiments:
        for run in experiment.runs:
            by_fold.setdefault(str(run.replicate[1]), set()).add(_scored(run))
    return (
        all(len(found) == 1 for found in by_fold.values())
        and len({frozenset(str(run.replicate[1]) for run in experiment.runs) for experiment in experiments}) == 1
    )


def _scored(run: Run) -> str:
    return ",".join(sorted(run.results["cases"][run.side]))


def _code(run: Run) -> tuple[Any, Any]:
    git = run.record.get("git")
    return run.record.get("segexp_version"), (git["commit"], git["diff"]) if git else None


def _hardware(run: Run) -> tuple[Any, Any]:
    machine = run.record.get("machine", {})
    return machine.get("processor"), str(machine.get("gpus"))
