"""From runs to experiments: runs that differ in seed and fold alone are replicates of one."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from segexp.comparison.content import Difference
from segexp.comparison.statistics.scores import Run as ScoredRun
from segexp.comparison.statistics.scores import Scores, gather
from segexp.runs.runs import Run

KEYS_OF_CASES = ("split", "case", "class")


@dataclass(frozen=True)
class Experiment:
    """Runs that repeat one setting.

    Args:
        name: Short name, made of what differs among the experiments.
        runs: Runs that ended well, one per seed and fold.
        unfinished: Runs that did not.
        trained: Runs that have learning curves, one per seed and fold; an evaluation, which takes the place of its run
            among ``runs``, has none.
    """

    name: str
    runs: list[Run]
    unfinished: list[Run]
    trained: list[Run]
    _gathered: dict[tuple[str, str | None], Scores] = field(init=False, default_factory=dict)

    @property
    def first(self) -> Run:
        """Any of its runs, for what all share."""
        return (self.runs or self.unfinished)[0]

    @cached_property
    def classes(self) -> list[str]:
        """Classes in cases.csv."""
        return list(dict.fromkeys(row["class"] for run in self.runs for row in run.cases))

    @cached_property
    def metrics(self) -> list[str]:
        """Metrics that are measured per case."""
        tables = [run.cases for run in self.runs if run.cases]
        columns = dict.fromkeys(key for rows in tables for key in rows[0] if key not in KEYS_OF_CASES)
        return [name for name in columns if any(row.get(name) for rows in tables for row in rows)]

    def scores(self, metric: str, label: str | None = None) -> Scores:
        """Scores per replicate and case.

        Args:
            metric: Column of cases.csv.
            label: Class; None = mean over the classes that are defined in a case.
        """
        if (metric, label) not in self._gathered:
            runs = [ScoredRun(*run.replicate, _scores(run, metric, label)) for run in self.runs]
            self._gathered[metric, label] = gather(runs)
        return self._gathered[metric, label]

    def of_sets(self) -> dict[str, list[float]]:
        """Metrics that only whole sets of cases have, such as V_rand, by name: one per run."""
        per_case = {f"{name}_{label}" for name in self.metrics for label in self.classes} | set(self.metrics)
        names = [name for name in self.first.metrics if name not in per_case]
        return {name: [run.metrics.get(name, math.nan) for run in self.runs] for name in names}


def _scores(run: Run, metric: str, label: str | None) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in run.cases:
        if label is None or row["class"] == label:
            found.setdefault(row["case"], []).append(float(row.get(metric) or math.nan))
    defined = {case: [value for value in values if not math.isnan(value)] for case, values in found.items()}
    return {case: fmean(values) if values else math.nan for case, values in defined.items()}


def group(runs: Sequence[Run]) -> list[Experiment]:
    """Gather runs into experiments, in order of appearance; of equal replicates the last one that ended counts."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(json.dumps(run.settings, sort_keys=True, default=str), []).append(run)
    names = labels([found[0] for found in members.values()])
    experiments = []
    for name, found in zip(names, members.values(), strict=True):
        in_order = sorted((run for run in found if run.results), key=lambda run: str(run.record.get("end")))
        ended = {str(run.replicate): run for run in in_order}
        trained = {str(run.replicate): run for run in in_order if run.curves}
        unfinished = [run for run in found if not run.results]
        experiments.append(Experiment(name, list(ended.values()), unfinished, list(trained.values())))
    return experiments


def labels(runs: Sequence[Run]) -> list[str]:
    """Short names: the values of what differs; of a single run its choices; the folder where those are not unique."""
    if len(runs) == 1:
        chosen = [runs[0].choices.get(group) for group in ("experiment", "data", "model", "loss")]
        return [" ".join(str(option) for option in chosen if option) or runs[0].folder.name]
    rows = [row for row in differences(runs) if not row["follows"]]
    names = [" ".join(_short(row, index) for row in rows[:6]) for index in range(len(runs))]
    unique = len(set(names)) == len(names) and all(names)
    return names if unique else [run.folder.name for run in runs]


def _short(row: Difference, index: int) -> str:
    key, value = row["key"], row["values"][index]
    return str(value) if "." not in key else f"{key.rpartition('.')[2]}={value}"


def differences(runs: Sequence[Run]) -> list[Difference]:
    """What differs among the settings of runs, choices of groups first.

    Keys that only some options of a group have are left out.
    """
    rows: list[Difference] = []
    chosen: dict[str, list[str | None]] = {}  # by group, where runs chose different options
    for name in _keys([run.choices for run in runs]):
        options = [run.choices.get(name) for run in runs]
        if len(set(options)) > 1 and "/" not in name:
            chosen[name] = options
            rows.append({"key": name, "values": options, "follows": None})
    for key in _keys([run.settings for run in runs]):
        values = [run.settings.get(key) for run in runs]
        group = key.partition(".")[0]
        # The row of the group already says so where its options have classes and keys of their own.
        implied = group in chosen and ("_target_" in key or any(key not in run.settings for run in runs))
        if not implied and len({str(value) for value in values}) > 1:
            # A key follows the choice of its group where each option goes with one value.
            options = chosen.get(group, [])
            follows = bool(options) and len(set(zip(options, map(str, values), strict=True))) == len(set(options))
            rows.append({"key": key, "values": values, "follows": group if follows else None})
    return rows


def _keys(nodes: Iterable[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(key for node in nodes for key in node))


def warnings(experiments: Sequence[Experiment]) -> list[str]:
    """Sentences that say what makes scores incomparable."""
    runs = [run for experiment in experiments for run in experiment.runs]
    # Runs of different folds score different cases, but each fold scores the same ones throughout.
    folds = {frozenset(run.replicate[1] for run in experiment.runs) for experiment in experiments}
    scored = {(run.replicate[1], _scored(run)) for run in runs}
    same_folds = len(folds) == 1 and len(scored) == len({fold for fold, _ in scored})
    found = []
    for what, (ask, effect) in CONDITIONS.items():
        excused = what == "scored cases" and same_folds
        if len({str(ask(run)) for run in runs}) > 1 and not excused:
            found.append(f"the {what} differ: {effect}")
    for metric in _keys([run.results["protocol"][run.split] for run in runs]):
        protocols = {run.results["protocol"][run.split].get(metric) for run in runs}
        if len(protocols - {None}) > 1:
            found.append(f"{metric} is defined differently in some runs: its values do not compare")
    names = [run.results["cases"] for run in runs]
    if any(set(one.get("train", ())) & set(one[run.split]) for one, run in zip(names, runs, strict=True)):
        found.append("networks have learned from the cases that are scored: metrics say nothing of other cases")
    elif any(run.split == "val" for run in runs):
        found.append("the scored cases also chose the epoch (no test cases): metrics are optimistically biased")
    partly = [run for run in runs if any(count < whole for count, whole in run.results.get("scored", {}).values())]
    if partly:
        found.append(f"{len(partly)} runs scored part of their cases alone, such as {_account(partly[0])}")
    short = [run for run in runs if run.results["training"].get("ended_by", "").startswith("trainer.")]
    if short:
        found.append(f"{len(short)} runs ended before the epochs they were asked for, such as {_account(short[0])}")
    unfinished = [run for experiment in experiments for run in experiment.unfinished]
    if unfinished:
        found.append(f"{len(unfinished)} runs have no results and are left out, such as {unfinished[0].folder}")
    return found


def _account(run: Run) -> str:
    return f"{run.folder} ({run.record.get('why', '')})"


def _scored(run: Run) -> str:
    return ",".join(sorted(run.results["cases"][run.split]))


def _code(run: Run) -> object:
    git = run.record.get("git")
    return run.record.get("segexp_version"), (git["commit"], git["diff"]) if git else None


# What must be equal among runs, how a run is asked for it, and what a difference does.
CONDITIONS: dict[str, tuple[Callable[[Run], object], str]] = {
    "data fingerprints": (lambda run: run.record.get("data_fingerprint"), "their scores do not compare"),
    "scored cases": (_scored, "only the cases that both scored are compared"),
    "code versions": (_code, "a difference may come from the code"),
    "versions of torch": (
        lambda run: run.record.get("packages", {}).get("torch"),
        "small differences may come from it",
    ),
    "machines": (
        lambda run: [run.record.get("machine", {}).get(part) for part in ("processor", "gpus")],
        "times do not compare, scores only nearly",
    ),
    "steps down for lack of memory": (
        lambda run: [(one["from"], one["to"]) for one in run.results["training"].get("stepped_down", [])],
        "smaller tiles, or smaller parts of a batch with batch norm, may be a part of the difference",
    ),
    "precisions": (lambda run: run.config.get("trainer.precision"), "part of the comparison, or an accident"),
}
