"""What ``segexp predict`` does once its arguments are read: open the networks, predict file by file, tell the rest."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import segexp
from segexp.checkpoints.checkpoint import Model
from segexp.data.case import Case
from segexp.errors import short_path, some
from segexp.foreign import one_line
from segexp.prediction import Segmenter, Settings, open_models
from segexp.prediction.flags import Flag, flag_of, quality_rows
from segexp.prediction.formats import FORMATS
from segexp.prediction.inputs import Input, find_inputs, read_input
from segexp.prediction.legend import shown_of
from segexp.prediction.outputs import Outputs, outputs_of, require_free, require_space, snap_labels, write_outputs
from segexp.prediction.quality import why_unknown
from segexp.prediction.record import PredictionRecord, input_digest
from segexp.runs.files import Json, table_text
from segexp.terminal import Console
from segexp.trust import Vouched
from segexp.writing import hidden_folder, remove_folder, settle, write_text

SHOWN = 5  # names of inputs of which the same is said
MOST_FLAGGED = 20  # inputs that are named on the screen
QUALITY = "quality.csv"
SNAP = "labels.txt"


def predict_files(arguments: Mapping[str, Any], vouched: Vouched) -> None:
    """Predict files one after the other; continue after one that cannot be predicted.

    Args:
        arguments: Arguments of the command, by their keys.
        vouched: What the user vouches for.

    Raises:
        FileNotFoundError: There is no such input.
        ValueError: The runs do not go together, outputs would take the place of inputs, or the record of the output
            folder cannot be read.
        SystemExit: With status 1, some inputs could not be predicted.
    """
    asked = {item.name: arguments[item.name] for item in fields(Settings)}
    settings = Settings(**asked | {"quality": _wants_quality(arguments)})
    models = open_models(arguments["run"], vouched.networks())
    digests = [model.digest() for model in models]
    segmenter = Segmenter(models, settings)
    flag = _flag(arguments, segmenter, models)
    del models  # the segmenter has copies
    if segmenter.steps_differ and settings.postprocess:
        print("the runs keep different post-processing steps: none is applied")
    # Every name is known, and checked, before anything is predicted.
    folder = Path(arguments["output"])
    by_suffix = arguments["channels_by_suffix"]
    by_suffix = segmenter.description.channels_by_suffix if by_suffix is None else by_suffix
    inputs = find_inputs(arguments["input"], by_suffix)
    form, description = FORMATS[arguments["format"]], segmenter.description
    shown = shown_of(description, form.legend(description))
    record = PredictionRecord(folder, _how(digests, segmenter, arguments), shown)
    inputs = [item for item in inputs if not record.left(item.files)]  # a pattern may reach into the output folder
    wanted = arguments["overlays"], arguments["measure"], form
    jobs = {item: outputs_of(item, segmenter, *wanted) for item in inputs}
    require_free(jobs, folder)
    with hidden_folder(folder) as part, _bar() as bar:
        job = Job(segmenter, folder, part, record, arguments["spacing"], arguments["overwrite"], _Tiles(bar))
        report = _each(jobs, job, bar)
    report.print(folder)
    if report.done or report.skipped:
        leave_labels(folder, snap_labels(jobs.values(), description), arguments["overwrite"])
    if settings.quality:
        _leave_qualities(folder, record, segmenter, flag, [item.name for item in inputs])
    if report.failures:
        sys.exit(1)


def _each(jobs: Mapping[Input, Outputs], job: "Job", bar: Progress) -> "Report":
    """Predict inputs one after the other; what cannot be predicted is told in the report."""
    report = Report()
    task = bar.add_task("", total=len(jobs))
    for item, outputs in jobs.items():
        bar.update(task, description=one_line(item.name))
        try:
            job.run(item, outputs, report)
        except Exception as error:  # a bad file must not cost the others
            report.failures[item] = error
        remove_folder(job.part)
        bar.advance(task)
    return report


def _wants_quality(arguments: Mapping[str, Any]) -> bool:
    return bool(arguments["quality"] or arguments["flag"])


def _flag(arguments: Mapping[str, Any], segmenter: Segmenter, models: Sequence[Model]) -> Flag | None:
    """Choose the threshold of the flag, before anything is predicted; None = no flag was asked for."""
    flag = None
    if _wants_quality(arguments) and segmenter.calibration is None:
        why = why_unknown(models, segmenter.views, segmenter.steps)
        if arguments["flag"]:
            raise ValueError(f"flag=true: {why}")
        print(f"quality.csv holds no estimates: {why}", file=sys.stderr)
    elif arguments["flag"] and segmenter.calibration:
        flag = flag_of(segmenter.calibration, arguments["flag.false_alarms"], arguments["flag.good"])
    return flag


def _leave_qualities(
    folder: Path, record: PredictionRecord, segmenter: Segmenter, flag: Flag | None, names: Sequence[str]
) -> None:
    """Write quality.csv of all that the record knows, and name the inputs of this call that are flagged."""
    rows = quality_rows(record.qualities(), segmenter.calibration, flag)
    if rows:
        write_text(folder / QUALITY, table_text(rows))
        print(f"estimates of quality in {short_path(folder / QUALITY)}")
    if flag is None:
        return
    mine = [row for row in rows if row["input"] in names]
    flagged = [f"{row['input']} ({row['why']})" for row in mine if row["why"]]
    listed = f": {one_line(some(flagged, MOST_FLAGGED))}" if flagged else ""
    print(f"{len(flagged)} of {len(mine)} masks should be looked at{listed}")
    print(f"the flag: {flag.promise}")


def leave_labels(folder: Path, text: str, overwrite: bool) -> None:
    """Write the names and colors of labels for ITK-SNAP; a file that is not this one stays unless ``overwrite``."""
    path = folder / SNAP
    if not text or (path.is_file() and path.read_bytes() == text.encode("utf-8")):
        return
    if path.exists() and not overwrite:
        print(f"{short_path(path)} is another one, and stays: overwrite=true replaces it", file=sys.stderr)
        return
    write_text(path, text)


def _how(digests: Sequence[str], segmenter: Segmenter, arguments: Mapping[str, Any]) -> dict[str, Json]:
    """What changes masks beside the input, in plain values; how many tiles go at a time, and where, does not."""
    predictor, settings = segmenter.predictor, segmenter.settings
    tiling = {
        key: getattr(predictor, key) for key in ("tile", "overlap", "border", "blending", "sigma", "padding_mode")
    }
    return {
        "models": list(digests),
        "tta": settings.tta,
        **({"adapt": settings.adapt} if settings.adapt else {}),
        **{key: list(value) if isinstance(value, tuple) else value for key, value in tiling.items()},
        "postprocess": settings.postprocess,
        "spacing": arguments["spacing"],
        "format": arguments["format"],
        "segexp_version": segexp.__version__,
    }


@dataclass
class Report:
    """What came of the inputs.

    Attributes:
        done: Number of predicted ones.
        skipped: Number of those that were there.
        replaced: Inputs whose files took the place of others, by the reason why those were others.
        failures: Inputs that could not be predicted, with the error.
        deviations: Inputs that are far from what training saw, each with a sentence, by rule.
    """

    done: int = 0
    skipped: int = 0
    replaced: dict[str, list[str]] = field(default_factory=dict)
    failures: dict[Input, Exception] = field(default_factory=dict)
    deviations: dict[str, list[tuple[Path, str]]] = field(default_factory=dict)

    def print(self, folder: Path) -> None:
        """Print how many were predicted, what deserves a look, and why others were not predicted."""
        counts = {
            "predicted": self.done,
            "already there (overwrite=true predicts them again)": self.skipped,
            "failed": len(self.failures),
        }
        print(", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "predicted"), end="")
        print(f"; masks in {short_path(folder)}")
        for reason, names in self.replaced.items():
            print(f"predicted again, since {reason}: {one_line(some(names, SHOWN))}", file=sys.stderr)
        for rule, (first, *others) in self.deviations.items():
            more = f"; so is it with {some((path for path, _ in others), SHOWN)}" if others else ""
            print(f"warning, {rule} not as in training: {one_line(f'{first[0]}: {first[1]}{more}')}", file=sys.stderr)
        for item, error in self.failures.items():
            reason = one_line(error)
            if not isinstance(error, ValueError | OSError):  # none that was foreseen
                reason = f"{type(error).__name__}: {reason}"
            if str(item.files[0]) not in reason:
                reason = f"{item.files[0]}: {reason}"
            print(f"failed: {reason}", file=sys.stderr)


@dataclass(frozen=True)
class Job:
    """All that the inputs of a prediction have in common; ``part`` is a hidden folder for what is not whole yet."""

    segmenter: Segmenter
    folder: Path
    part: Path
    record: PredictionRecord
    spacing: list[float] | None
    overwrite: bool
    tiles: "_Tiles"

    def run(self, item: Input, outputs: Outputs, report: Report) -> None:
        """Predict an input, unless that was done before.

        Raises:
            ValueError: It cannot be predicted, or something else stands in its place.
        """
        digest = input_digest(item.files)
        temperature = self.segmenter.temperature if self.segmenter.settings.quality else None
        found = self.record.look(item.name, digest, outputs.masks, list(outputs.others.values()), temperature)
        for path in found.damaged:
            print(f"{path} is damaged: it is predicted again", file=sys.stderr)
        if found.done and not self.overwrite:
            report.skipped += 1
            return
        if found.why_not and not self.overwrite:
            there = self.folder / outputs.masks[0]
            raise ValueError(f"{there} is there, but {found.why_not}: overwrite=true predicts it again")
        # No name holds the case, so that it is free before the next one is read.
        self._predict(read_input(item, self.segmenter.channels, self.spacing), item, digest, outputs, report)
        report.done += 1
        if found.why_not:
            report.replaced.setdefault(found.why_not, []).append(item.name)

    def _predict(self, case: Case, item: Input, digest: str, outputs: Outputs, report: Report) -> None:
        """Predict a case into the hidden folder, and move the files to their places once all are whole."""
        deviations = self.segmenter.compare(case)
        self.folder.mkdir(parents=True, exist_ok=True)
        require_space(case, outputs, self.segmenter, self.folder)
        self.part.mkdir(exist_ok=True)
        maps = self.segmenter(case, self.part, self.tiles)
        for path in outputs.paths:
            (self.part / path).parent.mkdir(parents=True, exist_ok=True)
        write_outputs(maps, case, outputs, self.segmenter.description, self.part)
        measures = maps.quality.measures if maps.quality else None
        files = {path: self.part / path for path in outputs.paths}
        self.record.note(item.name, digest, files, measures, item.files, outputs.masks)
        for path in outputs.paths:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            settle(self.part / path, self.folder / path)
        for deviation in deviations:
            report.deviations.setdefault(deviation.rule, []).append((item.files[0], deviation.sentence))


class _Tiles:
    """Progress of the tiles of an image or page, where it has more than one."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task = bar.add_task("  tiles", visible=False)

    def __call__(self, done: int, count: int) -> None:
        self.bar.update(self.task, completed=done, total=count, visible=done < count)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
