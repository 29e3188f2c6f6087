"""predicted.json: what made the masks of an output folder, so that what is there is not taken for what is wanted."""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from segexp.crc import crc_of_file, crc_of_plain
from segexp.data.cache.hashes import hash_file, hash_plain
from segexp.data.files.volumes import opened_files
from segexp.data.files.writing import is_whole
from segexp.inference.quality import Measures
from segexp.runs.files import Json, json_text, read_json
from segexp.runs.shape import require_shape
from segexp.writing import write_text

NAME = "predicted.json"
CHECKSUM = "crc32"  # key of the record: of all its other keys and values
DIGITS = 16  # of the hash under which models and settings stand


class SegmentRow(TypedDict):
    """What a value of the masks is called, and its color."""

    name: str
    value: int
    color: list[int]


class Shown(TypedDict):
    """What a viewer must know of the masks: channels of the images, classes or regions, whether these overlap."""

    channels: int
    segments: list[SegmentRow]
    regions: bool


class Made(TypedDict):
    """How one input was predicted: hash of its files, key of models and settings, CRC-32 of each file that it left.

    ``quality`` holds its measures, see ``segexp.inference.quality.Measures``, where they were asked for; ``sources``
    the paths of its files, relative to the output folder, and ``masks`` those of its masks, which earlier versions did
    not note.
    """

    input: str
    how: str
    files: dict[str, str]
    quality: NotRequired[Measures]
    sources: NotRequired[list[str]]
    masks: NotRequired[list[str]]


class Content(TypedDict):
    """Content of predicted.json: models and settings, each combination once, and what was made with them.

    ``shown`` says of each combination what a viewer must know; earlier versions did not note it.
    """

    how: dict[str, dict[str, Any]]
    inputs: dict[str, Made]
    shown: NotRequired[dict[str, Shown]]


@dataclass(frozen=True)
class Found:
    """What stands at the place of the files of an input.

    Attributes:
        done: Whether all of them are there, made of this input by these models and settings.
        damaged: Files that are broken, and are made again.
        why_not: Why what stands there may not be replaced unasked; "" = nothing is lost.
    """

    done: bool = False
    damaged: tuple[Path, ...] = ()
    why_not: str = ""


class PredictionRecord:
    """Record of an output folder; several processes may write to it.

    Args:
        folder: The output folder; it need not be there.
        how: Models and settings in plain values, as far as they change what is predicted.
        shown: What a viewer must know of the masks; None = nothing is noted.

    Raises:
        ValueError: The folder holds a predicted.json that cannot be read; names it and the remedy.
    """

    def __init__(self, folder: Path, how: Mapping[str, Json], shown: Shown | None = None) -> None:
        self.folder = folder
        self.shown = shown
        self.path = folder / NAME
        self.how = dict(how)
        self.key = hash_plain(self.how)[:DIGITS]
        self._known = read_record(folder)

    def left(self, files: Sequence[Path]) -> bool:
        """Whether files are masks or maps that this folder already had from earlier predictions, in place of inputs."""
        places = {(self.folder / place).resolve() for made in self._known["inputs"].values() for place in made["files"]}
        return all(path.resolve() in places for path in files)

    def look(
        self, name: str, digest: str, masks: Sequence[Path], others: Sequence[Path], temperature: float | None = None
    ) -> Found:
        """Look at what stands at the places of an input's files.

        Args:
            name: Name of the input.
            digest: Hash of its files, see ``input_digest``.
            masks: Paths of its masks, relative to the folder; they are written last.
            others: Paths of its other files.
            temperature: Temperature at which its measures must be known, too; None = they need not.
        """
        there = [path for path in (*masks, *others) if (self.folder / path).exists()]
        damaged = tuple(self.folder / path for path in there if not is_whole(self.folder / path))
        if damaged or not any(path in masks for path in there):
            return Found(damaged=damaged)
        made = self._known["inputs"].get(name)
        if made is None:
            return Found(why_not=f"{NAME} does not tell what made it")
        why_not = self._difference(made, digest) or self._changed(there, made)
        complete = len(there) == len(masks) + len(others)
        if temperature is not None:
            complete = complete and made.get("quality", {}).get("temperature") == temperature
        return Found(not why_not and complete, why_not=why_not)

    def qualities(self) -> dict[str, Measures]:
        """Measures of all inputs that were predicted by these models and settings and have them, by name."""
        inputs = read_record(self.folder)["inputs"]
        return {
            name: made["quality"]
            for name, made in inputs.items()
            if made["how"] == self.key and "quality" in made and self._is_there(made)
        }

    def _is_there(self, made: Made) -> bool:
        return all((self.folder / path).exists() for path in made["files"])

    def note(
        self,
        name: str,
        digest: str,
        files: Mapping[Path, Path],
        quality: Measures | None = None,
        sources: Sequence[Path] = (),
        masks: Sequence[Path] = (),
    ) -> None:
        """Note what an input leaves, before its files take their places: one that never does counts as missing.

        Args:
            name: Name of the input.
            digest: Hash of its files.
            files: Place of each file, relative to the folder -> path at which it is whole by now.
            quality: Its measures; None = they were not asked for.
            sources: Files of the input.
            masks: Those of ``files`` that are masks, in order.
        """
        sums = {place.as_posix(): crc_of_file(path) for place, path in files.items()}
        made = Made(input=digest, how=self.key, files=sums)
        if quality is not None:
            made["quality"] = quality
        if sources:
            made["sources"] = [os.path.relpath(source, self.folder) for source in sources]
            made["masks"] = [path.as_posix() for path in masks]
        with _locked(self.folder):
            self._known = read_record(self.folder)  # another process may have added to it
            self._known["how"][self.key] = self.how
            if self.shown:
                self._known.setdefault("shown", {})[self.key] = self.shown
            self._known["inputs"][name] = made
            write_text(self.path, json_text({**self._known, CHECKSUM: crc_of_plain(self._known)}))

    def _difference(self, made: Made, digest: str) -> str:
        """Tell in what a prediction was made otherwise; "" = in nothing."""
        before = self._known["how"].get(made["how"], {})
        differing = [key for key in self.how if before.get(key) != self.how[key]]
        if "models" in differing:
            return "it was predicted by another model"
        if differing:
            settings = ", ".join(f"{key}={before.get(key)}, now {self.how[key]}" for key in differing)
            return f"it was predicted with other settings ({settings})"
        return "" if made["input"] == digest else "its input has changed since"

    def _changed(self, there: Sequence[Path], made: Made) -> str:
        """Tell which file is not the one that was left; "" = none."""
        for path in there:
            known = made["files"].get(path.as_posix())
            if known is None:
                return f"{NAME} does not tell what made {path}"
            if known != crc_of_file(self.folder / path):
                return f"{path} was changed since it was written"
        return ""


def read_record(folder: Path) -> Content:
    """Read the record of an output folder; an empty one where there is none.

    Raises:
        ValueError: It cannot be read; names it and the remedy.
    """
    path = folder / NAME
    if not path.exists():
        return Content(how={}, inputs={})
    try:
        plain = read_json(path)
        checksum = plain.pop(CHECKSUM, None) if isinstance(plain, dict) else None
        require_shape(plain, Content, str(path))
        content: Content = plain
        if checksum != crc_of_plain(content):
            raise ValueError("it was changed or damaged since it was written")
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); remove it, and predict again with overwrite=true"
        ) from error
    return content


def input_digest(files: Sequence[Path]) -> str:
    """Hash the content of an input: of all files that reading it opens, in their order.

    Raises:
        OSError: A file cannot be read.
    """
    return hash_plain([hash_file(file) for file in opened_files(files)])


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time in, where the file system knows locks of folders."""
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
