"""What `train` and `evaluate` share: from the scores of whole cases to results.json and the table that is printed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from segexp.comparison.statistics.intervals import Interval
from segexp.data import DataModule
from segexp.data.prepared import target_tensor
from segexp.errors import short_path
from segexp.evaluation.positions import by_position
from segexp.evaluation.rescoring import LabelScorer
from segexp.evaluation.screen import range_of
from segexp.evaluation.tuning import Tuning
from segexp.metrics import SplitResult, score_observer, undefined
from segexp.postprocessing.postprocess import Steps, in_words
from segexp.runs.record import Headline, SplitName
from segexp.runs.results import MetricFacts, Results
from segexp.terminal import Console, Table
from segexp.training.task import Task

Splits = Mapping[str, SplitResult]


def results_of(splits: Splits, task: Task, data: DataModule) -> Results:
    """Gather scores, human reference, curves and descriptions of each split, as results.json has them."""
    content: Results = {
        "observers": {split: observers(task, data, split) for split in splits},
        "curves": {split: result.curves for split, result in splits.items()},
        "undefined": {split: undefined(result.rows) for split, result in splits.items()},
        "metrics": {name: facts for result in splits.values() for name, facts in metric_facts(result).items()},
        # A threshold may be chosen on one split and fixed on another, so each has its own protocol.
        "protocol": {
            split: {name: info.protocol for name, info in result.info.items()} for split, result in splits.items()
        },
        "cases": vars(data.split),
        "scored": {split: (_count_cases(result), len(vars(data.split)[split])) for split, result in splits.items()},
    }
    positions = {split: by_position(result) for split, result in splits.items()}
    content["positions"] = {split: found for split, found in positions.items() if found}
    for split, result in splits.items():
        content[cast(SplitName, split)] = dict(result.scores)
    return content


def metric_facts(result: SplitResult) -> dict[str, MetricFacts]:
    """Describe each score in plain values."""
    return {
        name: {
            "higher_is_better": info.higher_is_better,
            "unit": info.unit,
            "computed_from": info.computed_from,
            "targets": info.targets,
        }
        for name, info in result.info.items()
    }


def headline(
    split: SplitName,
    result: SplitResult,
    metric: str,
    higher_is_better: bool,
    cases: int,
    chose_epoch: bool,
    steps: Steps,
    learned: bool = False,
) -> Headline:
    """Pick the metric that stands for the run.

    Args:
        split: Name of the split that is scored.
        result: Scores of that split.
        metric: Name of the monitored score, such as ``dice``.
        higher_is_better: Whether a higher value of it is the better one.
        cases: Number of cases of that split, scored or not.
        chose_epoch: Whether the validation cases have chosen the epoch.
        steps: Post-processing steps that the scores include.
        learned: Whether the network has learned from these cases, whatever their split is called.
    """
    worth = ""
    if split == "train" or learned:
        worth = "; the network has learned from these cases, so this is no test score"
    elif split == "val" and chose_epoch:
        worth = "; these cases also chose the epoch, so this is no test score"
    scored = _count_cases(result)
    part = "" if scored == cases else f"{scored} of {cases} "
    after = f"; after post-processing: {in_words(steps)}" if steps else ""
    return {
        "split": split,
        "metric": metric,
        "value": result.scores[metric],
        "higher_is_better": higher_is_better,
        "note": f"scored on {part}whole {split} cases{worth}{after}",
    }


def _count_cases(result: SplitResult) -> int:
    return len({row.case for row in result.rows})


def rows_of_cases(splits: Splits, names: Mapping[str, Sequence[str]]) -> list[dict[str, str | float]]:
    """Gather the rows of cases.csv, one per case and class, with the names of the cases of each split, in order."""
    return [
        {"split": split, "case": names[split][row.case], "class": row.label, **row.scores}
        for split, result in splits.items()
        for row in result.rows
    ]


def observers(task: Task, data: DataModule, split: str) -> dict[str, dict[str, float]]:
    """Score further human observers, where all cases of a split have them, against the truth: the human reference."""
    scorer = LabelScorer(data, data.cases(split))
    found = {}
    for name in sorted(set.intersection(*(set(case.others) for case in scorer.cases))):
        labels = [target_tensor(case.others[name], scorer.regions) for case in scorer.cases]
        truth = scorer.targets, labels, scorer.spacings, scorer.num_classes, scorer.instances
        found[name] = score_observer(task.metrics, *truth)
    return found


def print_scores(
    content: Results,
    others: Mapping[str, Mapping[str, float | None]] | None = None,
    intervals: Mapping[str, Interval] | None = None,
) -> None:
    """Print the scores of the headline's split in results.json.

    Args:
        content: Content of results.json.
        others: Further columns, by title.
        intervals: Interval of each score that has one, see ``intervals_of``; None = no such column.
    """
    split = content["headline"]["split"]
    scores = content[split]
    per_class = content["undefined"][split]
    columns = dict(others or {})
    columns |= {f"observer {name}": seen for name, seen in content["observers"][split].items()}
    heads = [] if intervals is None else ["95 % interval over cases"]
    table = Table("metric", "value", *heads, *columns, title=content["headline"]["note"])
    for name, value in scores.items():
        means = [mean for mean in scores if mean not in per_class and name.startswith(f"{mean}_")]
        if name not in per_class or all(scores[mean] != value for mean in means):  # of one class, the mean says it all
            told = [] if intervals is None else [range_of(intervals.get(name), _unit_of(name, content))]
            table.add_row(name, _number(value), *told, *(_number(column.get(name)) for column in columns.values()))
    Console().print(table)


def _unit_of(name: str, content: Results) -> str:
    """Unit of a score, or of its mean for one class such as ``hd95_mm_vessel``: that of the metric."""
    own = [metric for metric in content["metrics"] if name == metric or name.startswith(f"{metric}_")]
    return content["metrics"][max(own, key=len)]["unit"] if own else "fraction"


def print_tuning(tuning: Tuning, where: str) -> None:
    """Print each step's best setting, on top of those kept."""
    table = Table(title=f"{tuning.metric} on {where}")
    for head in ("step", "best setting", "gain per case", "interval", "kept"):
        table.add_column(head, no_wrap=head != "best setting")
    for name, step in tuning.steps.items():
        best = step.on_top
        numbers = ["" if number is None else f"{number:+.4f}" for number in (best.gain, best.low, best.high)]
        settings = ", ".join(f"{key}={value}" for key, value in best.settings.items()) or "defaults"
        table.add_row(name, settings, numbers[0], f"{numbers[1]} to {numbers[2]}", "yes" if step.kept else "no")
    Console().print(table)
    print(f"mean over {tuning.cases} cases: {tuning.before:.4f} before, {tuning.after:.4f} after")


def print_folder(run_dir: Path) -> None:
    """Print the run folder."""
    Console().print(f"run folder   {short_path(run_dir)}", soft_wrap=True, highlight=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
