"""What lies in a folder and below it: images and volumes, and everything else by reason."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from segexp.data.sources.pairs import SUFFIXES, image_stem
from segexp.errors import some

HIDDEN = "hidden"


@dataclass(frozen=True)
class Found:
    """An image, or a volume, which may be a folder of DICOM files.

    Attributes:
        path: Path to it.
        relative: Path relative to the folder that was looked through, with forward slashes.
        stem: The same without the suffix.
    """

    path: Path
    relative: str
    stem: str


@dataclass
class Listing:
    """What lies in a folder.

    Attributes:
        folder: Folder that was looked through.
        images: Images and volumes, in the order of their paths.
        rest: Reason -> paths, relative to the folder, of what is neither.
    """

    folder: Path
    images: list[Found] = field(default_factory=list)
    rest: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, reason: str, relative: str) -> None:
        """Add a path to the rest."""
        self.rest.setdefault(reason, []).append(relative)

    def contents(self) -> str:
        """Count what there is, in words."""
        counts = [f"{len(paths)} {reason.replace('no image: ', '')}" for reason, paths in self.rest.items()]
        return some(counts) if counts else "nothing"


def look_through(folder: Path, without: Path | None = None) -> Listing:
    """List a folder and its subfolders, also those that links lead to; each folder once.

    Args:
        folder: Folder to look through; a folder of DICOM files below it counts as a volume.
        without: Path to a folder that is passed over, wherever it lies.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There is no image in it; tells what there is.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: check the path")
    listing = Listing(folder)
    passed = set() if without is None or without.resolve() == folder.resolve() else {without.resolve()}
    for path in _walk(folder, passed):
        relative = path.relative_to(folder).as_posix()
        _require_text(path)
        stem = None if path.name.startswith(".") else image_stem(path)
        if stem is not None:
            # One letter may be two code points in one folder and one in the other (macOS).
            stem = unicodedata.normalize("NFC", relative[: -len(path.name)] + stem)
            listing.images.append(Found(path, unicodedata.normalize("NFC", relative), stem))
        else:
            kind = kind_of(path)
            listing.leave(kind if kind == HIDDEN else f"no image: {kind}", relative)
    if not listing.images:
        raise ValueError(
            f"{folder} has no image files: it needs {', '.join(SUFFIXES)}, or subfolders of DICOM files; it has "
            f"{listing.contents()}"
        )
    return listing


def kind_of(path: Path) -> str:
    """Word for a file that is no image: "hidden", its suffix, or "without suffix"."""
    return HIDDEN if path.name.startswith(".") else path.suffix.lower() or "without suffix"


def _require_text(path: Path) -> None:
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the name of {str(path)!r} is not in UTF-8: rename it") from error


def _walk(folder: Path, passed: set[Path]) -> Iterator[Path]:
    """Files, hidden folders and folders of DICOM files, sorted; ``passed`` grows by the folders that were entered."""
    real = folder.resolve()
    if real in passed:
        return
    passed.add(real)
    with os.scandir(folder) as scan:
        paths = sorted(folder / entry.name for entry in scan)
    for path in paths:
        if path.name.startswith(".") or not path.is_dir() or _is_series(path):
            yield path
        else:
            yield from _walk(path, passed)


def _is_series(folder: Path) -> bool:
    """Whether a folder holds DICOM files; one that holds nothing but images by their suffixes is not looked into."""
    with os.scandir(folder) as scan:
        others = any(not entry.name.lower().endswith(SUFFIXES) for entry in scan)
    return others and image_stem(folder) is not None
