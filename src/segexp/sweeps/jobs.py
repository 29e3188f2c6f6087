"""Jobs of a sweep, identified by their overrides instead of a counter."""

import hashlib
import itertools
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segexp.errors import require_at_least
from segexp.runs.folder import RunFolder

FOR_DRIVER = re.compile(r"^[+~]*(sweep|hydra)[./@=]")  # overrides for the driver, not for its jobs
REPLICATES = {"seed": "sweep.seeds", "data.split.fold": "sweep.folds"}  # keys that repeat an experiment
COMMAND = [sys.executable, "-m", "segexp"]
LONGEST = 100  # characters of the readable part of a name


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        overrides: Overrides of the run, as on the command line.
        folder: Run folder.
        command: Arguments before the overrides, such as ``train --config-dir mine``.
        replicate: Overrides among them, of seed and fold, that repeat an experiment instead of changing it.
    """

    overrides: tuple[str, ...]
    folder: Path
    command: tuple[str, ...] = ("train",)
    replicate: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Digest of the overrides, whatever their order."""
        return digest(self.overrides)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.folder.name

    @property
    def files(self) -> RunFolder:
        """Paths of the files of its run folder."""
        return RunFolder(self.folder)

    @property
    def settings(self) -> tuple[str, ...]:
        """Overrides without seed and fold: jobs that share them repeat one experiment."""
        return tuple(word for word in self.overrides if word not in self.replicate)

    def words(self) -> list[str]:
        """Command line: resumes from the last checkpoint where there is one, else starts anew."""
        folder = quoted(self.folder.absolute())
        start = [*COMMAND, *self.command]
        if self.files.is_resumable:
            return [*start, f"resume={folder}"]
        return [*start, *self.overrides, f"hydra.run.dir={folder}"]

    @property
    def is_done(self) -> bool:
        """Whether it has ended well and left its results, all its files whole."""
        if self.fault:
            return False
        record = self.files.record()
        return record.get("status") == "done" and bool(self.files.results(record))

    @property
    def fault(self) -> str:
        """Which of its files is damaged; empty where none is."""
        return self.files.fault()


def digest(words: Iterable[str], length: int = 8) -> str:
    """Short digest of words, whatever their order."""
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()[:length]


def job_overrides(words: Sequence[str]) -> tuple[str, ...]:
    """Leave out what is for the driver: ``sweep...`` and ``hydra...``."""
    return tuple(word for word in words if not FOR_DRIVER.match(word))


def with_replicates(
    words: Sequence[str], seeds: Sequence[int] | None, folds: Sequence[int] | None
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Repeat a set of overrides over seeds and folds.

    Returns:
        Per job (overrides, replicate). A seed or fold among the words themselves is a replicate, too.

    Raises:
        ValueError: Seeds or folds are no list of integers, or are given among the words, too.
    """
    axes = dict(zip(REPLICATES, (seeds, folds), strict=True))
    for key, values in axes.items():
        if values is not None and (isinstance(values, str) or not isinstance(values, Sequence)):
            raise ValueError(f"{REPLICATES[key]}={values} must be a list of integers, such as [0,1,2], or null")
        for value in values or ():
            require_at_least(REPLICATES[key], value, 0, integer=True)
        if values and any(word.startswith(f"{key}=") for word in words):
            raise ValueError(f"{key} is swept twice, by {key}=… and by the sweep group: leave one of them out")
    own = tuple(word for word in words if word.partition("=")[0] in axes)
    added = [[f"{key}={value}" for value in values] for key, values in axes.items() if values]
    return [((*words, *more), (*own, *more)) for more in itertools.product(*added)]


def folder_name(words: Sequence[str], shown: Iterable[str]) -> str:
    """Name a job's folder: the overrides whose keys are shown, and the digest of all."""
    keys = set(shown)
    pairs = [word.lstrip("+~").partition("=")[::2] for word in words if key_of(word) in keys]
    readable = [f"{key.rpartition('.')[2]}-{_short(value)}" for key, value in pairs]
    parts = [re.sub(r"[^\w.+-]+", "-", part).strip("-") for part in readable]
    # A name that is too long says nothing but the digest.
    if not parts or len("__".join(parts)) > LONGEST:
        parts = ["job"]
    return "__".join([*parts, digest(words)])


def _short(value: str) -> str:
    """Shorten a long number; the digest distinguishes neighbors."""
    return f"{float(value):.4g}" if re.fullmatch(r"-?\d+\.\d{5,}(e-?\d+)?", value) else value


def quoted(folder: Path | str) -> str:
    """Write a folder, or its address, as the value of an override.

    Raises:
        ValueError: Its path holds an interpolation, which would be resolved, such as a variable of the environment.
    """
    if "${" in str(folder):
        raise ValueError(f"{folder} holds '${{', which would be resolved as an interpolation: rename the folder")
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), str(folder))
    return f"'{escaped}'"


def unquoted(value: str) -> str:
    """Take back what `quoted` did to a folder; other values stay as they are."""
    if len(value) < 2 or value[0] != "'" or value[-1] != "'":
        return value
    return re.sub(r"(\\+)('|$)", lambda found: found[1][: len(found[1]) // 2] + found[2], value[1:-1])


def key_of(word: str) -> str:
    """Key of an override."""
    return word.lstrip("+~").partition("=")[0]


def varying(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Keys whose values differ among jobs, in order of appearance."""
    counts: dict[str, set[str]] = {}
    for words in jobs:
        for word in words:
            counts.setdefault(key_of(word), set()).add(word)
    return [key for key, found in counts.items() if len(found) > 1]


def sweep_name(data: str, overrides: Sequence[str]) -> str:
    """Name a sweep: the data, the swept keys, a digest of the overrides that all jobs share.

    The swept values are left out, so that a sweep with more values continues in the same folder.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(job_overrides(overrides)))
    swept = [item.key_or_group.rpartition(".")[2] for item in parsed if item.is_sweep_override()]
    shared = [str(item.input_line) for item in parsed if not item.is_sweep_override()]
    keys = [re.sub(r"[^\w-]", "-", key) for key in swept]
    return "_".join(["sweep", data, *keys, digest([*shared, *sorted(swept)], 4)])
