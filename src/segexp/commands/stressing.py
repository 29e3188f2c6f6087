"""What ``segexp stress`` does once its arguments are read: score corrupted copies of cases, and leave a page."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import segexp
from segexp.commands.evaluate import evaluate
from segexp.commands.evaluating import folder_of, holds
from segexp.config import split_config_dirs
from segexp.errors import short_path
from segexp.evaluation.ensemble import shared_steps
from segexp.evaluation.evaluation import Evaluation
from segexp.evaluation.trained import open_trained
from segexp.postprocessing.postprocess import Steps
from segexp.prediction.which import paths_of
from segexp.runs.claim import claimed
from segexp.runs.files import write_json, write_table
from segexp.runs.folder import RunFolder
from segexp.runs.stress import StressResults
from segexp.stress.journal import CLEAN, Journal, Unit
from segexp.stress.page import Stressed, page
from segexp.stress.pictures import Gallery, draw_missing
from segexp.stress.reference import reference_results, set_against
from segexp.stress.scoring import identity, plan_of, score_missing
from segexp.stress.summary import rows_of, summarized, typical_case
from segexp.terminal import Console, Table
from segexp.training.resources import ResourceMeter
from segexp.training.warnings import quiet
from segexp.writing import write_text


def stress_runs(runs: Sequence[str], given: dict[str, Any], more: list[str], words: Sequence[str]) -> None:
    """Score corrupted copies of the cases of runs; a stress test that was ended goes on with the copies that lack.

    Args:
        runs: Runs, or ensembles of runs, as the command line names them.
        given: Arguments of the command, by their keys.
        more: Overrides.
        words: The whole command line, which the page shows.

    Raises:
        FileExistsError: The folder of the evaluation holds another one.
        FileNotFoundError: There is no such reference, or the data are not there.
        ValueError: A corruption does not fit the cases.
    """
    quiet()
    stressed = [_stress(run, given, more) for run in runs]
    if given["reference"] != "none":
        stressed = [_against(*each, given["reference"]) for each in stressed]
    found = [each for each, _ in stressed]
    if len({each.results["metric"] for each in found}) > 1:
        raise ValueError("the runs have different headline metrics: stress each on its own")
    for each, folder in stressed:
        _print(each, folder)
    path = stressed[0][1].stress_page_path if given["html"] == "auto" else Path(given["html"])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page(found, segexp.__version__, shlex.join(["segexp", "stress", *words])))
    print(f"page         {short_path(path)}")


def _folders(run: str) -> list[Path]:
    """Folders of the runs that a word names; those below a folder that is no run itself."""
    paths = paths_of(run)
    if len(paths) == 1 and paths[0].is_dir():
        return sorted(folder.path for folder in RunFolder.below(paths[0]) if _is_training(folder)) or paths
    return paths


def _is_training(folder: RunFolder) -> bool:
    return folder.best_checkpoint.is_file()


def _stress(run: str, given: dict[str, Any], more: list[str]) -> tuple[Stressed, RunFolder]:
    """Stress one run or ensemble."""
    runs = [open_trained(path) for path in _folders(run)]
    steps = shared_steps(runs) if given["postprocess"] else {}
    evaluation = Evaluation(runs, more)
    split = evaluation.open(given["split"])
    meter = ResourceMeter()
    plan = plan_of(
        evaluation.data, split, given["corruptions"], given["severities"], given["cases"], int(given["seed"])
    )
    folder = _place(evaluation, split, steps, given["output"])
    with claimed(folder.path):
        name = identity(evaluation, plan, steps, split_config_dirs(more)[1])
        journal = Journal(folder.stress_folder / f"{name}.jsonl")
        with _Bar(folder, sum(key not in journal.units for key in plan.copies()), len(plan.copies())) as bar:
            score_missing(evaluation, plan, steps, journal, bar)
        facts = _facts(evaluation, journal)
        metric = evaluation.metric if evaluation.metric in facts else next(iter(facts))
        epochs = [int(one.checkpoint["epoch"]) for one in runs]
        results = summarized(journal, plan, metric, facts, epochs, meter.read()["peak_memory_mib"])
        write_table(folder.stress_cases_path, rows_of(journal, plan))
        write_json(folder.stress_path, results)
        gallery = Gallery.of(folder.stress_folder / name, typical_case(journal, plan, metric), results)
        if given["pictures"]:
            draw_missing(evaluation, plan, steps, gallery)
    return Stressed(folder.path.name, results, gallery if given["pictures"] else None), folder


def _place(evaluation: Evaluation, split: str, steps: Steps, output: str) -> RunFolder:
    """Find the folder of the results that the stress metrics go with: the run's own, else that of an evaluation.

    The evaluation is made, where it was not yet.

    Raises:
        FileExistsError: The folder holds another evaluation.
    """
    run = evaluation.run
    own = split == run.results.get("headline", {}).get("split") and not evaluation.several and not steps
    if own and output == "auto" and not split_config_dirs(evaluation.arguments)[1]:
        return run.files
    folder = RunFolder(folder_of(output, evaluation, split))
    known = folder.record().get("evaluation", {})
    if folder.results() and holds(folder, evaluation, split) and known.get("postprocess") == dict(steps):
        return folder
    names = ",".join(str(each.folder) for each in evaluation.runs)
    evaluate(
        [f"run={names}", f"split={split}", f"output={folder.path}", f"postprocess={bool(steps)}", *evaluation.arguments]
    )
    return folder


def _facts(evaluation: Evaluation, journal: Journal) -> dict[str, Any]:
    """Descriptions of the metrics that each case has, by name."""
    names = dict.fromkeys(name for unit in journal.units.values() for row in unit.scores.values() for name in row)
    infos = {name: info for metric in evaluation.task.metrics for name, info in metric.info.items()}
    return {
        name: {
            "higher_is_better": infos[name].higher_is_better,
            "unit": infos[name].unit,
            "computed_from": infos[name].computed_from,
            "targets": infos[name].targets,
        }
        for name in names
        if name in infos
    }


class _Bar:
    """Progress over the copies: a bar in a terminal, elsewhere a line when a corruption is done."""

    def __init__(self, folder: RunFolder, missing: int, whole: int) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        self.bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task(folder.path.name, total=whole, completed=whole - missing)
        self.last = ""
        if missing < whole:
            print(f"{short_path(folder.path)}: {whole - missing} of {whole} copies are scored already")

    def __enter__(self) -> "_Bar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, unit: Unit, left: int) -> None:
        self.bar.update(self.task, advance=1, description=f"{unit.corruption} {unit.case}")
        if not self.bar.console.is_terminal and self.last not in ("", unit.corruption):
            print(f"{self.last} done, {left + 1} copies left", flush=True)
        self.last = unit.corruption


def _against(stressed: Stressed, folder: RunFolder, reference: str) -> tuple[Stressed, RunFolder]:
    """Set a stressed run against the reference."""
    base = RunFolder(Path(reference), foreign=True)
    results = set_against(stressed.results, reference_results(base), base.path.name)
    write_json(folder.stress_path, results)
    return Stressed(stressed.name, results, stressed.gallery), folder


def _print(stressed: Stressed, folder: RunFolder) -> None:
    """Print the table of a stressed run."""
    found: StressResults = stressed.results
    metric = found["metric"]
    count = f"{len(found['cases'])} {found['split']} cases"
    table = Table(title=f"{stressed.name}: {metric} of {count} by severity; {CLEAN} {_number(found['clean'][metric])}")
    heads = {"degradation": "degr."} | ({"corruption_error": "CE"} if "reference" in found else {})
    for head in ("corruption", *map(str, found["severities"]), *heads.values()):
        table.add_column(head, no_wrap=True)
    for name, figures in found["corruptions"].items():
        scores = figures["scores"].get(metric, [None] * len(found["severities"]))
        further = [figures.get(key) for key in heads]
        table.add_row(name, *map(_number, scores), *map(_number, further))  # type: ignore[arg-type]
    Console().print(table)
    overall = found["overall"]
    print(
        f"over all corruptions: mean {_number(overall['mean'])}, degradation (degr.) {_number(overall['degradation'])}"
    )
    if "reference" in found:
        print(f"corruption error (CE) against {found['reference']}: {_number(overall['corruption_error'])}")
    missed = [name for name, figures in found["corruptions"].items() if any(figures["missed"])]
    if missed:
        print(
            f"in some cases {', '.join(missed)} came not near the declared measure, see {folder.stress_path.name}: "
            "no strength reaches it, or it goes in steps"
        )
    print(f"{found['seconds_per_case']:.2f} s per copy, {found['peak_memory_mib']:.0f} MiB at most")
    print(f"results      {short_path(folder.stress_path)}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{round(value, 3) + 0.0:.3f}"  # never -0.000
