"""What ``segexp evaluate`` does once its arguments are read: score, tune, and leave what `segexp compare` reads."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from rich.text import Text

from segexp.checkpoints.quality import keep_calibration
from segexp.config import chosen_options, split_config_dirs
from segexp.errors import short_path
from segexp.evaluation.cross_validation import evaluate_held_out, report_held_out
from segexp.evaluation.ensemble import shared_steps
from segexp.evaluation.evaluation import Evaluation
from segexp.evaluation.held_out import held_out_split
from segexp.evaluation.positions import write_positions
from segexp.evaluation.quality import dice_of_cases, in_sentence
from segexp.evaluation.report import headline, print_folder, print_scores, print_tuning, results_of, rows_of_cases
from segexp.evaluation.rescoring import LabelScorer, rescored
from segexp.evaluation.trained import Trained, changes_data, open_trained
from segexp.evaluation.tuning import Tuning
from segexp.evaluation.worst_cases import draw_worst, worst_cases
from segexp.postprocessing.postprocess import Steps, in_words
from segexp.runs.claim import claimed
from segexp.runs.configuration import Config, Scored
from segexp.runs.files import write_json, write_table
from segexp.runs.folder import RunFolder
from segexp.runs.postprocess import keep_steps
from segexp.runs.record import Record, SplitName
from segexp.runs.recorder import RunRecorder
from segexp.runs.results import Results
from segexp.runs.unused import held
from segexp.sweeps.jobs import key_of
from segexp.terminal import Console
from segexp.training.warnings import quiet
from segexp.writing import remove


def evaluate_runs(paths: Sequence[Path], given: Mapping[str, Any], more: Sequence[str]) -> None:
    """Score the best epoch of a run, or of several, on whole cases.

    Args:
        paths: Run folders.
        given: Arguments of the command, by their keys.
        more: Overrides.

    Raises:
        FileNotFoundError: The data are not there.
        ValueError: A run is broken or foreign, or data and network do not belong together.
    """
    quiet()
    runs = [open_trained(path) for path in paths]
    held_out = None if given["out_of_fold"].lower() == "false" else _held_out(runs, given, more)
    if held_out is not None:
        _evaluate_held_out(runs, held_out, given, more)
        return
    run = runs[0]
    steps = shared_steps(runs) if given["postprocess"] else {}
    evaluation = Evaluation(runs, more)
    split = evaluation.open(given["split"])
    strange = evaluation.deviations(split) if given["strict"] else []
    if strange:
        raise ValueError(f"strict=true: {'; '.join(strange)}; strict=false scores them all the same")
    folder = folder_of(given["output"], evaluation, split)
    config = evaluation.config_in(folder)  # with the paths of the folder, which follows from the data
    changed = claimed(run.folder) if given["tune"] or given["quality"] else nullcontext()
    with changed, claimed(folder), _recorded(folder, evaluation, config, split) as record:
        tuning = None
        if given["tune"]:
            tuning = evaluation.tune()
            steps = tuning.kept
            keep_steps(run.files, steps, run.checkpoint["epoch"])
        if given["quality"]:
            keep_calibration(run.files, evaluation.calibrate(steps))
        else:
            evaluation.find_calibration(steps)
        content = _leave(RunFolder(folder), evaluation, split, steps, tuning, given["worst"])
        record.write(
            {
                "config": _with_evaluation(config, evaluation, split, steps),
                "evaluation": {**record.content["evaluation"], "postprocess": dict(steps)},
                "headline": content["headline"],
            }
        )
    _report(folder, evaluation, content, tuning)


def _held_out(runs: Sequence[Trained], given: Mapping[str, Any], more: Sequence[str]) -> SplitName | None:
    """Settle which split is scored by the runs that held it out; None = the runs are scored as one."""
    several = len(runs) > 1 and not changes_data(more)
    split = held_out_split(runs, given["split"]) if several else None
    if split is None and given["out_of_fold"].lower() == "true":
        raise ValueError(
            "out_of_fold=true needs several runs on the data of their training that held out different cases, as those "
            "of sweep=folds: give the folder of such a sweep"
        )
    return split


def _evaluate_held_out(
    runs: Sequence[Trained], split: SplitName, given: Mapping[str, Any], more: Sequence[str]
) -> None:
    """Score a cross-validation, and print what came of it."""
    if given["quality"]:
        raise ValueError("quality=true learns for one run, or an ensemble: leave it out, or give out_of_fold=false")
    first, folder = runs[0].folder.absolute(), Path(given["output"])
    if given["output"] == "auto":
        sweep = Path(given["run"])
        folder = sweep if sweep.is_dir() else first.with_name(f"{first.name}-out_of_fold")
    outcome = evaluate_held_out(runs, split, more, folder, given["postprocess"], given["tune"])
    if outcome.tuning:
        print_tuning(outcome.tuning, "held-out cases")
    report_held_out(outcome, folder)


def folder_of(output: str, evaluation: Evaluation, split: str) -> Path:
    """Find the folder of the evaluation; "auto" is named after the run, what is scored, and the data."""
    words = evaluation.arguments
    data = "".join(f"-{word.partition('=')[2]}" for word in words if key_of(word) == "data")
    more = f"-ensemble{len(evaluation.runs)}" if evaluation.several else ""
    own = evaluation.run.folder.absolute()
    return own.with_name(f"{own.name}{more}{data}-{split}") if output == "auto" else Path(output)


def _clear(earlier: RunFolder, evaluation: Evaluation, split: str) -> None:
    """Let an earlier evaluation of the same kind make way.

    Raises:
        FileExistsError: Something else is there.
    """
    if not held(earlier.path):
        return
    if not holds(earlier, evaluation, split):
        raise FileExistsError(
            f"{short_path(earlier.path)} holds something else than an earlier evaluation of the same kind: name "
            "another folder with output=<folder>"
        )
    for path in [*earlier.path.glob("*.json"), *earlier.path.glob("*.csv"), *earlier.figures.glob("*.png")]:
        remove(path)


def holds(folder: RunFolder, evaluation: Evaluation, split: str) -> bool:
    """Whether a folder holds an evaluation of the same runs, arguments and split."""
    known = folder.record().get("evaluation")
    if not known:
        return False
    same = (_names(evaluation), _settings(evaluation.arguments), split)
    return (known["run"], _settings(known["words"]), known["split"]) == same


def _settings(words: Sequence[str]) -> list[str]:
    """Arguments without those that only tell where configuration files lie now, and who vouches for the run."""
    return [word for word in split_config_dirs(words)[1] if word != "--trust"]


def _names(evaluation: Evaluation) -> str:
    """Folders of the runs, with commas."""
    return ",".join(str(run.folder.absolute()) for run in evaluation.runs)


@contextmanager
def _recorded(folder: Path, evaluation: Evaluation, config: Config, split: SplitName) -> Iterator[RunRecorder]:
    """Keep run.json true to what happens, in the shape of a run's."""
    run = evaluation.run
    _clear(RunFolder(folder), evaluation, split)
    record = RunRecorder(RunFolder(folder), [*run.record["overrides"], *evaluation.arguments], config["seed"])
    costs = {
        key: sum(each.record[key] for each in evaluation.runs)
        for key in ("parameters", "multiply_adds")
        if all(key in each.record for each in evaluation.runs)
    }
    record.write(
        {
            "choices": chosen_options(),
            "config": config,
            "data_fingerprint": evaluation.data.fingerprint(),
            "split": vars(evaluation.data.split),
            "evaluation": {"run": _names(evaluation), "words": evaluation.arguments, "split": split},
        }
    )
    record.write(cast(Record, costs))
    try:
        yield record
    except BaseException as error:
        record.stop(error)
        raise
    record.finish("done", f"all {split} cases scored")


def _with_evaluation(config: Config, evaluation: Evaluation, split: str, steps: Steps) -> Config:
    """Let `compare` tell this from the run itself, where it differs from the end of the training."""
    scored = evaluation.run.results.get("headline", {}).get("split")
    if split == scored and not steps and not evaluation.several:
        return config
    scoring: Scored = {"split": split, "postprocess": in_words(steps)}
    if evaluation.several:
        scoring["networks"] = len(evaluation.runs)
    return config | {"evaluate": scoring}


def _leave(
    folder: RunFolder, evaluation: Evaluation, split: SplitName, steps: Steps, tuning: Tuning | None, count: int
) -> Results:
    """Score and write results.json, tables and pictures; after post-processing the plain scores stand by."""
    data, metric, higher_is_better = evaluation.data, evaluation.metric, evaluation.higher_is_better
    plain, predictions = evaluation.score(split)
    scorer = LabelScorer(data, data.cases(split))
    result = rescored(evaluation.task.metrics, scorer, predictions, steps) if steps else plain
    epoch = {} if evaluation.several else {"epoch": evaluation.run.checkpoint["epoch"]}
    content: Results = {
        "headline": headline(
            split, result, metric, higher_is_better, len(getattr(data.split, split)), evaluation.own_validation, steps
        ),
        **results_of({split: result}, evaluation.task, data),
        "chosen_on_val": {**epoch, "by": evaluation.run.record["config"]["monitor"], **evaluation.chosen},
        "training": {} if evaluation.several else evaluation.run.results.get("training", {}),
        "evaluation": {
            "run": _names(evaluation),
            "notes": evaluation.notes(split),
            "postprocess": dict(steps),
            "tuning": asdict(tuning) if tuning else None,
        },
    }
    if steps:
        content["without_postprocess"] = {split: dict(plain.scores)}
    rows: list[Mapping[str, object]] = list(rows_of_cases({split: result}, vars(data.split)))
    if evaluation.calibration:
        found, known = evaluation.estimates(split, dice_of_cases(scorer, predictions, data, steps))
        content["evaluation"] = {**content["evaluation"], "quality": known}
        rows = [{**row, **found[str(row["case"])].cells()} for row in rows]
    write_json(folder.results_path, content)
    write_table(folder.cases_path, rows)
    write_positions(folder, {split: result}, vars(data.split), content["positions"])
    worst = worst_cases(result.rows, metric, count, higher_is_better)
    if worst:
        labels = scorer.processed(predictions.by(evaluation.decision_rule), steps)
        draw_worst(folder.figures, split, metric, worst, scorer, labels)
    return content


def _report(folder: Path, evaluation: Evaluation, content: Results, tuning: Tuning | None) -> None:
    """Print notes, what tuning found, the figures, and how they compare with the end of the training."""
    console = Console()
    for note in content["evaluation"]["notes"]:
        console.print(Text("note", "yellow"), note, soft_wrap=True, highlight=False)
    if tuning:
        print_tuning(tuning, "val")
    split = content["headline"]["split"]
    plain = content.get("without_postprocess", content)[split]
    trained = _of_training(evaluation, split)
    others: dict[str, Mapping[str, float | None]] = (
        {"without post-processing": plain} if plain is not content[split] else {}
    )
    same = bool(trained) and trained == _defined(plain)
    if trained and not same and evaluation.same_data:
        others["mean of the runs alone" if evaluation.several else "end of training"] = trained
    print_scores(content, others)
    if same:
        print("the same figures as at the end of the training, to the last bit")
    if quality := content["evaluation"].get("quality"):
        print(in_sentence(quality))
    worst = RunFolder(folder).figures / "worst.png"
    if worst.is_file():
        print(f"worst cases  {short_path(worst)}")
    print_folder(folder)


def _of_training(evaluation: Evaluation, split: str) -> dict[str, float]:
    """Figures of the end of the training; of several runs, if all scored the same cases, their means."""
    results = [run.results for run in evaluation.runs]
    cases = [(one.get("cases") or {}).get(split) for one in results]
    if any(other != cases[0] for other in cases):
        return {}
    found = [_defined(cast(dict[str, float | None], one.get(split, {}))) for one in results]
    names = [name for name in found[0] if all(name in figures for figures in found)]
    return {name: sum(figures[name] for figures in found) / len(found) for name in names}


def _defined(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None and not math.isnan(value)}
