"""The folder of a run: the only place that knows the names of its files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import yaml

from segexp.errors import did_you_mean
from segexp.foreign import is_number
from segexp.runs.checksums import CHECKSUMS, read_checked, write_checked
from segexp.runs.configuration import Config, Recorded
from segexp.runs.files import Rows, read_json, read_table, require_plain_file
from segexp.runs.record import ClockFacts, Record
from segexp.runs.results import Results
from segexp.runs.secrets import masked
from segexp.runs.shape import PARTIAL, require_shape
from segexp.runs.stress import StressResults
from segexp.writing import remove, write_bytes

RECORD = "run.json"
RESULTS = Annotated[Results, PARTIAL]
STRESS = Annotated[StressResults, PARTIAL]
REMEDY = "remove that run, or leave it out"


class _File:
    """Path of a file in a folder, as an attribute of the folder."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def __get__(self, folder: "RunFolder | SweepFolder", _: type) -> Path:
        return folder.path.joinpath(*self.names)


@dataclass(frozen=True)
class RunFolder:
    """A run folder: paths of its files, and what they hold.

    Args:
        path: Path to the folder; it need not exist yet.
        foreign: Whether somebody else may have written it: JSON files are then bounded, and links must not lead out.
    """

    path: Path
    foreign: bool = False

    record_path = _File(RECORD)  # status, overrides, code, packages, machine and data of the run
    results_path = _File("results.json")  # final metrics with their protocol; there once the run has ended well
    postprocess_path = _File("postprocess.json")  # post-processing steps that the run keeps
    quality_path = _File("quality.json")  # how measures of a case become an estimate of its Dice
    cases_path = _File("cases.csv")  # metrics per case and class
    positions_path = _File("positions.csv")  # the same by tenths of the slices, where there are volumes
    stress_path = _File("stress.json")  # where `segexp stress` was run: figures of its corruptions
    stress_cases_path = _File("stress.csv")  # metrics per corrupted copy and class
    stress_page_path = _File("stress.html")
    stress_folder = _File("stress")  # folder of what it has scored so far, and of its pictures
    curves_path = _File("metrics.csv")  # losses and metrics per epoch
    config_path = _File("config.yaml")  # resolved configuration
    overrides_path = _File("overrides.yaml")  # of the command line
    plan_path = _File("plan.yaml")  # where plan=auto made one: an experiment file with the reasons
    checksums_path = _File(CHECKSUMS)  # CRC-32 of the files above
    last_checkpoint = _File("checkpoints", "last.ckpt")  # of the last epoch, to resume from
    previous_checkpoint = _File("checkpoints", "previous.ckpt")  # the one before, should the last be damaged
    best_checkpoint = _File("checkpoints", "best.ckpt")  # of the best epoch, to predict with
    figures = _File("figures")  # folder of the pictures
    page_path = _File("report.html")  # page for a browser
    lock_path = _File(".lock")  # of the process that works in the folder, see segexp.runs.claim
    reserve_path = _File(".reserve")  # bytes to free on a full disk
    log_path = _File("log.txt")  # output of a job of a sweep

    @property
    def events(self) -> list[Path]:
        """TensorBoard's files."""
        return list(self.path.glob("events.out.tfevents.*"))

    def fault_path(self, first: int, rank: int) -> Path:
        """File in which a process beside the first, of that number, leaves word of why it failed."""
        return self.path / f".part-fault-{first}-{rank}"

    @property
    def is_resumable(self) -> bool:
        """Whether a checkpoint and the overrides are there to resume from."""
        return any(path.is_file() for path in self.checkpoints) and self.overrides_path.is_file()

    @property
    def checkpoints(self) -> tuple[Path, Path]:
        """Paths of the checkpoints to resume from, the newest first."""
        return self.last_checkpoint, self.previous_checkpoint

    @classmethod
    def holding(cls, path: Path) -> "RunFolder | None":
        """Find the run, maybe somebody else's, that a folder or checkpoint is; None for a file elsewhere."""
        folder = cls(path if path.is_dir() else path.absolute().parent.parent, foreign=True)
        inside = path.is_dir() or folder.last_checkpoint.parent == path.absolute().parent
        return folder if inside and folder.record_path.is_file() else None

    @classmethod
    def below(cls, path: Path) -> "Iterator[RunFolder]":
        """Find a run folder itself, else all run folders below it at any depth."""
        own = cls(path)
        records = [own.record_path] if own.record_path.is_file() else path.rglob(RECORD)
        return (cls(record.parent) for record in records)

    def holds_others(self) -> bool:
        """Whether other runs lie below this one."""
        return any(path.parent != self.path for path in self.path.rglob(RECORD))

    def record(self) -> Record:
        """Read run.json; empty before the run has started.

        Raises:
            ValueError: It is no record of a run; names file, rule and remedy.
        """
        return cast(Record, self._mapping(self.record_path, Record, ["status"]))

    def results(self, record: Record | None = None) -> Results:
        """Read results.json; empty if the run has not ended well, or goes on since.

        Args:
            record: Content of run.json, where it has been read; None = it is read.

        Raises:
            ValueError: It holds no results of a run; names file, rule and remedy.
        """
        known = self.record() if record is None else record
        ended = known.get("status", "done") == "done"
        return cast(Results, self._mapping(self.results_path, RESULTS, ["headline"]) if ended else {})

    def postprocess(self) -> dict[str, Any]:
        """Read what the run keeps of post-processing, see `segexp.runs.postprocess`; empty where it keeps none.

        Raises:
            ValueError: The file is no mapping.
        """
        path = self.postprocess_path
        steps = self._read(path) if path.exists() else {}
        if not isinstance(steps, dict):
            raise ValueError(f"{path} must be a mapping of steps")
        return steps

    def quality(self) -> Any:
        """Read what the run keeps of the quality of its masks, see `segexp.checkpoints.quality`; empty if nothing.

        Raises:
            ValueError: The file cannot be read.
        """
        return self._read(self.quality_path) if self.quality_path.exists() else []

    def stress(self) -> StressResults:
        """Read stress.json; empty where the run was not stressed.

        Raises:
            ValueError: It holds no figures of a stress test; names file, rule and remedy.
        """
        return cast(StressResults, self._mapping(self.stress_path, STRESS, list(StressResults.__required_keys__)))

    def stress_cases(self) -> Rows:
        """Read the table of metrics per corrupted copy and class; empty where the run was not stressed.

        Raises:
            ValueError: It is no such table.
        """
        return self._table(self.stress_cases_path, ("corruption", "case", "class"), ("severity",))

    def cases(self) -> Rows:
        """Read the table of metrics per case and class; empty before the end.

        Raises:
            ValueError: It is no such table.
        """
        return self._table(self.cases_path, ("split", "case", "class"))

    def positions(self) -> Rows:
        """Read the table of metrics per case, class and tenth of the slices; empty where there are no volumes.

        Raises:
            ValueError: It is no such table.
        """
        return self._table(self.positions_path, ("split", "case", "class"), ("bin",))

    def curves(self) -> Rows:
        """Read the table of losses and metrics per epoch; empty before the first has ended.

        Raises:
            ValueError: It is no such table.
        """
        return self._table(self.curves_path, (), ("epoch",))

    def config(self) -> Config:
        """Read the resolved configuration.

        Raises:
            FileNotFoundError: There is none.
            ValueError: The file is no mapping.
        """
        content = self._yaml(self.config_path, dict)
        require_shape(content, Recorded, str(self.config_path))
        return cast(Config, content)

    def overrides(self) -> list[str]:
        """Read the overrides of the command line.

        Raises:
            FileNotFoundError: There is no file of them.
            ValueError: The file is no list of words.
        """
        words: list[str] = self._yaml(self.overrides_path, list)
        if not all(isinstance(word, str) for word in words):
            raise ValueError(f"{self.overrides_path} must be a list of overrides")
        return words

    def fault(self) -> str:
        """Say which of the small files cannot be read, and why; empty where all are whole, or not there yet."""
        config = partial(read_checked, self.config_path)  # YAML is slow to read
        tables = (self.cases, self.positions, self.curves, self.stress_cases)
        kept = (self.postprocess, self.quality, self.stress)
        readers = (self.record, self.results, *kept, *tables, self.overrides, config)
        for read in readers:
            try:
                read()
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                return str(error)
        return ""

    def write_arguments(self, config: object, overrides: list[str]) -> None:
        """Write resolved configuration and overrides; secrets in them are masked."""
        for path, content in ((self.config_path, masked(config)), (self.overrides_path, masked(overrides))):
            write_checked(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode("utf-8"))

    def write_plan(self, text: str) -> None:
        """Write the plan of the run, an experiment file."""
        write_checked(self.plan_path, text.encode("utf-8"))

    def plan(self) -> str | None:
        """Read the plan; None where there is none."""
        return read_checked(self.plan_path).decode("utf-8") if self.plan_path.is_file() else None

    def account(self) -> "Account":
        """Keep what the run says of itself, to be put back where a resumed run has saved nothing."""
        paths = (self.record_path, self.config_path, self.overrides_path, self.curves_path, self.checksums_path)
        checkpoint = next(path for path in self.checkpoints if path.is_file())
        finished = self.record().get("status") == "done"
        files = {path: read_checked(path) for path in paths if path.is_file()}
        return Account(checkpoint, _stamp(checkpoint), finished, files)

    def clear_curves(self) -> None:
        """Remove the curves of a start that reached no checkpoint: they would be drawn twice."""
        for path in [*self.events, self.curves_path]:
            remove(path)

    def _mapping(self, path: Path, shape: Any, needed: Sequence[str]) -> Any:
        if not path.exists():
            return {}
        try:
            content = self._read(path)
        except ValueError as error:
            raise ValueError(f"{error}; {REMEDY}") from error
        for key in needed:
            if not isinstance(content, dict) or key not in content:
                raise ValueError(f"{path} lacks {key}: it is not of a run of segexp; {REMEDY}")
        try:
            require_shape(content, shape, str(path))
        except ValueError as error:
            raise ValueError(f"{error}; {REMEDY}") from error
        return content

    def _yaml(self, path: Path, kind: type) -> Any:
        """Read YAML of plain values; an alias, with which a small file can stand for a large one, is none."""
        require_plain_file(path, self.path if self.foreign else None)
        content = read_checked(path)
        try:
            aliases = any(isinstance(token, yaml.AliasToken) for token in yaml.scan(content))
            value = None if aliases else yaml.safe_load(content)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise ValueError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
        if not isinstance(value, kind):
            raise ValueError(f"{path} must be a {'mapping' if kind is dict else 'list'}, as segexp wrote it")
        return value

    def _table(self, path: Path, names: Sequence[str], numbers: Sequence[str] = ()) -> Rows:
        """Read a table with some columns; in all but those of ``names`` stand numbers or nothing."""
        if path.exists():
            require_plain_file(path, self.path if self.foreign else None)
        rows = read_table(path, (*names, *numbers))
        for line, row in enumerate(rows, start=2):
            for column, cell in row.items():
                if column not in names and cell and not is_number(cell):
                    raise ValueError(f"{path}, line {line}: {column}={cell!r} is no number; {REMEDY}")
        return rows

    def _read(self, path: Path) -> Any:
        return read_json(path, self.path if self.foreign else None)


@dataclass(frozen=True)
class SweepFolder:
    """Folder that holds the runs of a sweep: paths of what is said of them together.

    Args:
        path: Path to the folder.
    """

    path: Path

    summary_path = _File("summary.csv")  # one row per experiment
    held_out_path = _File("out_of_fold.json")  # scores of cases by the runs that held them out
    held_out_cases_path = _File("out_of_fold.csv")  # the same per case, class and run
    choices_path = _File("out_of_fold_choices.json")  # post-processing and thresholds chosen for runs together


@dataclass(frozen=True)
class Account:
    """What a run says of itself, and the state of the checkpoint that it goes with."""

    checkpoint: Path
    stamp: tuple[int, int]
    finished: bool
    files: dict[Path, bytes]

    def still_holds(self) -> bool:
        """Whether the checkpoint is still the same."""
        return _stamp(self.checkpoint) == self.stamp

    def restore(self) -> None:
        """Put it back."""
        for path, content in self.files.items():
            write_bytes(path, content)  # the checksums last: until then, they allow what was and what is


def _stamp(path: Path) -> tuple[int, int]:
    if not path.is_file():
        return 0, 0
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


def epoch_seconds(curves: Rows) -> list[float]:
    """Seconds of training and validation of each epoch."""
    return [sum(float(row.get(key) or 0) for key in ("seconds", "validation_seconds")) for row in curves]


def require_runs(folders: Iterable[Path]) -> None:
    """Refuse folders that hold no run.

    Raises:
        FileNotFoundError: Names the folder and the remedy.
    """
    for folder in folders:
        if not (folder / RECORD).is_file():
            near = did_you_mean(str(folder), [str(path) for path in folder.parent.glob("*")])
            raise FileNotFoundError(f"run={folder}: there is no {RECORD}{near}; give the folder that segexp train left")


def clock_of_run(folder: str) -> ClockFacts:
    """How a run was fitted into its minutes.

    Raises:
        ValueError: There is no run by minutes.
    """
    record = RunFolder(Path(folder))
    facts = record.record().get("clock") if record.record_path.is_file() else None
    if not facts:
        raise ValueError(f"minutes={folder!r} must be a number above 0, or the folder of a finished run by minutes")
    return facts
