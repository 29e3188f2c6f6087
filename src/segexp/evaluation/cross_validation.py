"""A cross-validation evaluated: scores of all cases, each by the runs that held it out, and what they leave."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from segexp.comparison.statistics.intervals import Interval
from segexp.errors import short_path
from segexp.evaluation.ensemble import shared_steps
from segexp.evaluation.held_out import require_cross_validation, runs_in_words
from segexp.evaluation.out_of_fold import OutOfFold
from segexp.evaluation.report import metric_facts, print_scores
from segexp.evaluation.screen import intervals_of
from segexp.evaluation.trained import Trained
from segexp.evaluation.tuning import Tuning
from segexp.metrics import SplitResult, case_means, mean_of_defined, undefined
from segexp.postprocessing.postprocess import Steps, in_words
from segexp.runs.claim import claimed
from segexp.runs.files import write_json, write_table
from segexp.runs.folder import SweepFolder
from segexp.runs.postprocess import Together, keep_together
from segexp.runs.record import SplitName
from segexp.runs.results import Results
from segexp.runs.runs import Run
from segexp.terminal import Console
from segexp.writing import hidden_folder


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        content: Content of the file, in the shape of results.json, with ``intervals`` and ``folds`` beside.
        intervals: Interval of each score over the cases.
        rows: Rows of the table, one per case, class and run.
        tuning: What was tried; None = nothing was.
        together: What was chosen for the runs; None = nothing.
    """

    content: Results
    intervals: dict[str, Interval]
    rows: list[dict[str, Any]]
    tuning: Tuning | None
    together: Together | None


def evaluate_held_out(
    runs: Sequence[Trained], split: SplitName, arguments: Sequence[str], folder: Path, postprocess: bool, tune: bool
) -> Outcome:
    """Score each case by the runs that held it out, and leave what came of it in a folder.

    Args:
        runs: Runs of a cross-validation.
        split: Split that each run held out.
        arguments: Further overrides.
        folder: Folder of the sweep, or another one.
        postprocess: Whether to apply the steps that are kept for the runs.
        tune: Whether to choose thresholds and steps on all cases first, and to keep them beside the runs.

    Raises:
        FileNotFoundError: The data are not there.
        ValueError: The runs do not go together, or do not hold out all cases.
    """
    require_cross_validation(runs, split)
    beside = {run.folder.absolute().parent for run in runs}
    if tune and len(beside) > 1:
        raise ValueError("tune=true keeps its choices beside the runs, which lie in several folders: move them to one")
    steps = shared_steps(runs) if postprocess else {}
    place = SweepFolder(folder)
    with claimed(folder), hidden_folder(folder) as aside:
        pooled = OutOfFold(runs, arguments, split, aside)
        outcome = _tuned(pooled) if tune else _scored(pooled, steps)
        if outcome.together is not None:
            keep_together(SweepFolder(min(beside)), outcome.together)
        write_json(place.held_out_path, outcome.content)
        write_table(place.held_out_cases_path, outcome.rows)
    return outcome


def report_held_out(outcome: Outcome, folder: Path) -> None:
    """Print scores with their intervals, those of the folds, and where all of it is."""
    console = Console()
    content: Mapping[str, Any] = outcome.content
    for note in content["evaluation"]["notes"]:
        console.print(Text("note", "yellow"), note, soft_wrap=True, highlight=False)
    plain = content.get("without_postprocess", {}).get(content["headline"]["split"])
    print_scores(outcome.content, {"without post-processing": plain} if plain else {}, outcome.intervals)
    name = content["headline"]["metric"]
    for fold in content["evaluation"]["folds"]:
        value = "undefined" if fold["value"] is None else f"{fold['value']:.4f}"
        console.print(f"{name} {value}  {fold['cases']} cases  {fold['run']}", soft_wrap=True, highlight=False)
    place = SweepFolder(folder)
    for path in (place.held_out_path, place.held_out_cases_path):
        console.print(f"written      {short_path(path)}", soft_wrap=True, highlight=False)


def _scored(pooled: OutOfFold, steps: Steps) -> Outcome:
    """Score with what the runs had chosen, and steps that are kept for them."""
    plain = pooled.plain()
    result = pooled.processed(steps) if steps else plain
    return _outcome(pooled, plain, result, steps, None, {})


def _tuned(pooled: OutOfFold) -> Outcome:
    """Choose thresholds, then steps on top of them, on all cases at once."""
    plain, chosen = pooled.choose()
    tuning = pooled.tune(chosen)
    result = pooled.processed(tuning.kept, chosen) if tuning.kept else plain
    return _outcome(pooled, plain, result, tuning.kept, tuning, chosen)


def _outcome(
    pooled: OutOfFold,
    plain: SplitResult,
    result: SplitResult,
    steps: Steps,
    tuning: Tuning | None,
    chosen: Mapping[str, float],
) -> Outcome:
    """Gather what is written and printed."""
    each, split, evaluation = pooled.averaged(result), pooled.split, pooled.evaluation
    intervals = intervals_of(each)
    notes = _notes(pooled, steps, tuning, chosen)
    content: Results = {
        "headline": {
            "split": split,
            "metric": evaluation.metric,
            "value": each.scores[evaluation.metric],
            "higher_is_better": evaluation.higher_is_better,
            "note": f"{len(set(pooled.cases))} cases, each scored by the runs that held it out ({split}), "
            f"{len(pooled.runs)} runs" + (f"; after post-processing: {in_words(steps)}" if steps else ""),
        },
        "observers": {split: {}},
        "curves": {split: each.curves},
        "undefined": {split: undefined(each.rows)},
        "metrics": metric_facts(each),
        "protocol": {split: {name: info.protocol for name, info in each.info.items()}},
        "cases": {split: list(dict.fromkeys(pooled.cases))},
        "chosen_on_val": dict(chosen),
        "evaluation": {
            "run": runs_in_words([run.folder for run in pooled.runs]),
            "words": pooled.arguments,
            "notes": notes,
            "data_fingerprint": evaluation.data.fingerprint(),
            "intervals": {name: [one.low, one.high] for name, one in intervals.items()},
            "folds": _folds(pooled, result),
            "postprocess": dict(steps),
            "tuning": asdict(tuning) if tuning else None,
        },
    }
    content[split] = dict(each.scores)
    if steps:
        content["without_postprocess"] = {split: dict(pooled.averaged(plain).scores)}
    epochs = {run.record.get("id", ""): run.checkpoint["epoch"] for run in pooled.runs}
    together: Together | None = {"runs": epochs, "steps": dict(steps), "chosen": dict(chosen)} if tuning else None
    return Outcome(content, intervals, _rows(pooled, result), tuning, together)


def _notes(pooled: OutOfFold, steps: Steps, tuning: Tuning | None, chosen: Mapping[str, float]) -> list[str]:
    """What must be known beside the scores."""
    notes = [
        "intervals are over the cases, for the trained networks at hand; segexp compare adds the spread between folds"
    ]
    counts = Counter(pooled.cases).values()
    if min(counts) < max(counts):
        notes.append(
            f"some cases were held out by {min(counts)} runs, others by {max(counts)}: each counts once, with the mean "
            "of its runs; train those that are missing, so that all cases have the same seeds"
        )
    if pooled.split == "val":
        notes.append("each case also chose the epoch of the run that scores it: the scores are optimistically biased")
    kept = [*([f"post-processing {in_words(steps)}"] if steps else []), *(f"{key} {chosen[key]}" for key in chosen)]
    if tuning and kept:
        notes.append(f"{' and '.join(kept)} chosen on these same cases: the scores with it are optimistically biased")
    elif steps:
        notes.append("post-processing may have been chosen on these same cases: the scores with it are then biased")
    return notes


def _folds(pooled: OutOfFold, result: SplitResult) -> list[dict[str, Any]]:
    """Mean of the headline over the cases of each run, with its fold and seed."""
    means = case_means(result.rows, pooled.evaluation.metric)
    found, start = [], 0
    for part in pooled.parts:
        numbers = range(start, start + len(part.cases))
        start += len(part.cases)
        found.append(
            {
                "run": part.run.folder.name,
                **_replicate(part.run),
                "epoch": part.run.checkpoint["epoch"],
                "cases": len(part.cases),
                "value": mean_of_defined(means[number] for number in numbers if number in means),
            }
        )
    return found


def _rows(pooled: OutOfFold, result: SplitResult) -> list[dict[str, Any]]:
    """Rows of the table, one per case, class and run."""
    owner = [part.run for part in pooled.parts for _ in part.cases]
    return [
        {
            "split": pooled.split,
            "case": pooled.cases[row.case],
            "class": row.label,
            **_replicate(owner[row.case]),
            "run": owner[row.case].folder.name,
            **row.scores,
        }
        for row in result.rows
    ]


def _replicate(run: Trained) -> dict[str, Any]:
    seed, fold = Run(run.folder, run.record).replicate
    return {"fold": fold, "seed": seed}
