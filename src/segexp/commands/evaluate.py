"""``segexp evaluate``: score a trained run on whole cases, its own or others, and choose its post-processing."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from segexp.commands.arguments import REQUIRED, parse
from segexp.config import chosen_options
from segexp.errors import require_at_least, require_choice, short_path
from segexp.evaluation.ensemble import shared_steps
from segexp.evaluation.evaluation import Evaluation
from segexp.evaluation.report import figures_of, print_figures, print_folder
from segexp.evaluation.rescoring import LabelScorer, Predictions, Result, in_words, rescored
from segexp.evaluation.trained import (
    compose_again,
    open_trained,
    own_words,
)
from segexp.evaluation.worst_cases import draw_worst, worst_cases
from segexp.prediction.members import paths_of
from segexp.runs.configuration import Config, Scored
from segexp.runs.files import write_json, write_table
from segexp.runs.folder import RunFolder
from segexp.runs.record import Record, SplitName
from segexp.runs.recorder import RunRecorder
from segexp.runs.results import rows_of_cases
from segexp.sweeps.jobs import key_of
from segexp.training.warnings import quiet

SIDES = ("test", "val", "train")
DEFAULTS = {"run": REQUIRED, "split": "auto", "output": "auto", "worst": 8, "postprocess": True, "tune": False}
COMMENTS = {
    "run": "folder of the run; its best epoch is scored; several with commas as an ensemble, the mean of probabilities",
    "split": "cases that are scored: test, val, train; auto = test where there are test cases, else val",
    "output": "folder for the results; auto = <run>-<split> beside the run",
    "worst": "pictures of the worst cases, 0 or more",
    "postprocess": "apply the steps that the run keeps in postprocess.json: true, false",
    "tune": "true = first choose the steps on the validation cases, and keep them in the run",
    "…": "all else is an override, such as data=<another set>, inference=tiled_turns, metrics=[overlap,surface]",
}


def evaluate(words: list[str]) -> None:
    """Score the best epoch of a run on whole cases and leave a folder that `segexp compare` reads.

    Raises:
        FileNotFoundError: There is no such run, or its data are not there.
        ValueError: A word is wrong, the run is broken or foreign, or data and network do not belong together.
    """
    mine, more = own_words(words, list(DEFAULTS))
    given = parse(mine, DEFAULTS, COMMENTS, "evaluate")
    require_at_least("worst", given["worst"], 0, integer=True)
    require_choice("split", given["split"], ("auto", *SIDES))
    quiet()
    runs = [open_trained(path) for path in paths_of(given["run"])]
    run = runs[0]
    steps = shared_steps(runs) if given["postprocess"] else {}
    evaluation = Evaluation(runs, more)
    side = evaluation.open(given["split"])
    folder = _folder(given["output"], evaluation, side)
    config = compose_again(run, more, folder)  # with the paths of the folder, which follows from the data
    with _recorded(folder, evaluation, config, side) as record:
        account = None
        if given["tune"]:
            steps, account = evaluation.tune()
            write_json(run.files.postprocess_path, steps)
        result, predictions = evaluation.score(side)
        content = _leave(folder, evaluation, side, result, predictions, steps, account, given["worst"])
        record.write(
            {
                "config": _with_evaluation(config, evaluation, side, steps),
                "evaluation": record.content["evaluation"] | {"postprocess": steps},
                "headline": content["headline"],
            }
        )
    _report(folder, evaluation, content, account)


def _folder(output: str, evaluation: Evaluation, side: str) -> Path:
    """Find the folder of the evaluation; an earlier evaluation of the same kind makes way.

    Raises:
        FileExistsError: Something else is there.
    """
    words = evaluation.words
    data = "".join(f"-{word.partition('=')[2]}" for word in words if key_of(word) == "data")
    more = f"-ensemble{len(evaluation.runs)}" if evaluation.several else ""
    own = evaluation.run.folder.absolute()
    folder = own.with_name(f"{own.name}{more}{data}-{side}") if output == "auto" else Path(output)
    if folder.exists() and any(folder.iterdir()):
        earlier = RunFolder(folder)
        known = earlier.record().get("evaluation")
        if not known or (known["run"], known["words"], known["split"]) != (_names(evaluation), words, side):
            raise FileExistsError(
                f"{short_path(folder)} holds something else than an earlier evaluation of the same kind: name another "
                "folder with output=<folder>"
            )
        for path in [*folder.glob("*.json"), *folder.glob("*.csv"), *earlier.figures.glob("*.png")]:
            path.unlink()
    return folder


def _names(evaluation: Evaluation) -> str:
    """Folders of the runs, with commas."""
    return ",".join(str(run.folder.absolute()) for run in evaluation.runs)


@contextmanager
def _recorded(folder: Path, evaluation: Evaluation, config: Config, side: str) -> Iterator[RunRecorder]:
    """Keep run.json true to what happens, in the shape of a run's."""
    run = evaluation.run
    folder.mkdir(parents=True, exist_ok=True)
    record = RunRecorder(RunFolder(folder), [*run.record["overrides"], *evaluation.words], config["seed"])
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
            "evaluation": {"run": _names(evaluation), "words": evaluation.words, "split": cast(SplitName, side)},
        }
    )
    record.write(cast(Record, costs))
    try:
        yield record
    except BaseException as error:
        record.finish("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", repr(error))
        raise
    record.finish("done", f"all {side} cases scored")


def _with_evaluation(config: Config, evaluation: Evaluation, side: str, steps: Mapping[str, Any]) -> Config:
    """Let `compare` tell this from the run itself, where it differs from the end of the training."""
    scored = evaluation.run.results.get("headline", {}).get("split")
    if side == scored and not steps and not evaluation.several:
        return config
    scoring: Scored = {"split": side, "postprocess": in_words(steps)}
    if evaluation.several:
        scoring["networks"] = len(evaluation.runs)
    return config | {"evaluate": scoring}


def _leave(
    folder: Path,
    evaluation: Evaluation,
    side: str,
    result: Result,
    predictions: Predictions,
    steps: Mapping[str, Any],
    account: dict[str, Any] | None,
    worst: int,
) -> dict[str, Any]:
    """Write results.json, cases.csv and the pictures; with post-processing its figures count, the others stand by."""
    run, data, task, figure = evaluation.run, evaluation.data, evaluation.task, evaluation.figure
    scorer, plain = LabelScorer(data, side), result
    if steps:
        result = rescored(task.metrics, scorer, predictions, steps)
    content = {
        "headline": {
            "split": side,
            "metric": figure,
            "value": result["figures"][figure],
            "note": _note(side, evaluation.own_validation, steps),
        },
        **figures_of({side: result}, task, data),
        "chosen_on_val": {**_epoch(evaluation), "by": run.record["config"]["monitor"], **evaluation.chosen},
        "training": {} if evaluation.several else run.results.get("training", {}),
        "evaluation": {
            "run": _names(evaluation),
            "notes": evaluation.notes(side),
            "postprocess": dict(steps),
            "tuning": account,
        },
        **({"without_postprocess": {side: plain["figures"]}} if steps else {}),
    }
    left = RunFolder(folder)
    write_json(left.results_path, content)
    write_table(left.cases_path, rows_of_cases({side: result["rows"]}, vars(data.split)))
    found = worst_cases(result["rows"], figure, worst)
    if found:
        labels = scorer.processed(predictions.of(evaluation.cut), steps)
        draw_worst(left.figures, side, figure, found, scorer, labels, data.labels.regions)
    return content


def _epoch(evaluation: Evaluation) -> dict[str, Any]:
    """The epoch that is scored, where there is one."""
    return {} if evaluation.several else {"epoch": evaluation.run.checkpoint["epoch"]}


def _note(side: str, own_validation: bool, steps: Mapping[str, Any]) -> str:
    kind = {
        "train": "; the network has learnt from these cases, so this is no test score",
        "val": "; these cases also chose the epoch, so this is no test score" if own_validation else "",
    }
    after = f"; after post-processing: {in_words(steps)}" if steps else ""
    return f"scored on whole {side} cases{kind.get(side, '')}{after}"


def _report(folder: Path, evaluation: Evaluation, content: dict[str, Any], account: dict[str, Any] | None) -> None:
    """Print notes, what tuning found, the figures, and how they compare with the end of the training."""
    console = Console()
    for note in content["evaluation"]["notes"]:
        console.print(f"[yellow]note[/] {note}", soft_wrap=True, highlight=False)
    if account:
        _print_tuning(account)
    side = content["headline"]["split"]
    plain = content.get("without_postprocess", content)[side]
    trained = _of_training(evaluation, side)
    others = {"without post-processing": plain} if plain is not content[side] else {}
    same = bool(trained) and trained == _defined(plain)
    if trained and not same and evaluation.same_data:
        others["mean of the runs alone" if evaluation.several else "end of training"] = trained
    print_figures(content, others)
    if same:
        print("the same figures as at the end of the training, to the last bit")
    worst = RunFolder(folder).figures / "worst.png"
    if worst.is_file():
        print(f"worst cases  {short_path(worst)}")
    print_folder(folder)


def _of_training(evaluation: Evaluation, side: str) -> dict[str, float]:
    """Figures of the end of the training; of several runs, if all scored the same cases, their means."""
    results = [run.results for run in evaluation.runs]
    cases = [(one.get("cases") or {}).get(side) for one in results]
    if any(other != cases[0] for other in cases):
        return {}
    found = [_defined(cast(dict[str, float | None], one.get(side, {}))) for one in results]
    names = [name for name in found[0] if all(name in figures for figures in found)]
    return {name: sum(figures[name] for figures in found) / len(found) for name in names}


def _defined(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None and not math.isnan(value)}


def _print_tuning(account: Mapping[str, Any]) -> None:
    """Print each step's best setting, alone and on top of those kept."""
    table = Table(title=f"{account['metric']} on val")
    for head in ("step", "best setting", "gain per case", "interval", "kept"):
        table.add_column(head, no_wrap=head != "best setting")
    for step, found in account["steps"].items():
        best = found["on_top"]
        numbers = ["" if best[key] is None else f"{best[key]:+.4f}" for key in ("gain", "low", "high")]
        settings = ", ".join(f"{key}={value}" for key, value in best["settings"].items()) or "defaults"
        table.add_row(step, settings, numbers[0], f"{numbers[1]} to {numbers[2]}", "yes" if found["kept"] else "no")
    Console().print(table)
    print(f"mean over {account['cases']} cases: {account['before']:.4f} before, {account['after']:.4f} after")
