"""Masks that ``segexp predict`` has written, with the images that they were made of."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import tifffile

from segexp.data.case import Case
from segexp.data.files.images import TIFF_SUFFIXES, read_mask
from segexp.data.files.segments import Segment
from segexp.data.files.volumes import file_affine, read_labels, read_volume, to_ras, volume_stem
from segexp.errors import did_you_mean, naming, times
from segexp.prediction.inputs import Input, find_inputs, read_input
from segexp.prediction.record import NAME, Content, Made, Shown, read_record
from segexp.viewers.gallery import Gallery
from segexp.viewers.layers import UNCERTAINTY, View

PROBABILITIES = "_probabilities.npy"


def open_predictions(folder: Path, cases: Sequence[str], images: str = "") -> Gallery:
    """Find masks of an output folder of ``segexp predict``.

    Args:
        folder: Path to the folder.
        cases: Names of inputs, without suffix; none = all.
        images: Folder or pattern in which the images lie now; empty = where they were.

    Raises:
        FileNotFoundError: There is nothing at ``images``.
        ValueError: The record of the folder cannot be read, or does not know a case.
    """
    content = read_record(folder)
    known = [name for name, made in content["inputs"].items() if _is_told(made, content)]
    if not known:
        raise ValueError(
            f"{folder / NAME} does not tell of what the masks were made, nor what their values are called: predict "
            "again with overwrite=true"
        )
    for name in cases:
        if name not in known:
            raise ValueError(f"case={name}: {folder / NAME} knows no such input{did_you_mean(name, known)}")
    moved = {Path(item.name).name: item.files for item in find_inputs(images)} if images else {}
    return Gallery(f"predictions in {folder}", tuple(cases or known), partial(_view, folder, content, moved))


def _is_told(made: Made, content: Content) -> bool:
    return "sources" in made and "masks" in made and made["how"] in content.get("shown", {})


def _view(folder: Path, content: Content, moved: Mapping[str, tuple[Path, ...]], name: str) -> View:
    """Read image, mask, probabilities and uncertainty of an input.

    Raises:
        FileNotFoundError: The image is not where it was.
        ValueError: A file cannot be read, or image and mask do not have one size.
    """
    made = content["inputs"][name]
    shown = content["shown"][made["how"]]
    files = moved.get(Path(name).name) or tuple((folder / file).resolve() for file in made["sources"])
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f"{file}, of which {name} was predicted, is not there: images=<folder> says where")
    spacing = content["how"].get(made["how"], {}).get("spacing")
    case = read_input(Input(name, files, len(files) > 1), shown["channels"], spacing)
    labels = _labels([folder / mask for mask in made["masks"]], shown)
    expected = (len(shown["segments"]), *case.image.shape[1:]) if shown["regions"] else case.image.shape[1:]
    if labels.shape != expected:
        sizes = f"{times(labels.shape)} pixels, but its image {files[0]} {times(expected)}"
        raise ValueError(f"the mask {folder / made['masks'][0]} has {sizes}: it is of another image; predict again")
    segments = [
        Segment(one["name"], one["value"], (one["color"][0], one["color"][1], one["color"][2]))
        for one in shown["segments"]
    ]
    probabilities = next((folder / file for file in made["files"] if file.endswith(PROBABILITIES)), None)
    kept = _probabilities(probabilities, case) if probabilities and probabilities.is_file() else None
    unsure = _uncertainty(folder, made, name, case)
    return View(name, case.image, case.spacing, case.spacing_unit, segments, labels, None, kept, unsure)


def _uncertainty(folder: Path, made: Made, name: str, case: Case) -> dict[str, np.ndarray]:
    """Read entropy and standard deviation (*S) in the axes of the case, as far as they lie there."""
    found = {}
    for kind in UNCERTAINTY:
        start = f"{Path(name).name}_{kind}."
        files = [folder / file for file in made["files"] if Path(file).name.startswith(start)]
        # A region may be called the same.
        for path in (path for path in files if path not in [folder / mask for mask in made["masks"]]):
            if path.is_file():
                found[kind] = read_volume(path).image[0] if volume_stem(path) is not None else _tiff(path)
                if found[kind].shape != case.image.shape[1:]:
                    sizes = f"{times(found[kind].shape)} pixels, but its image {times(case.image.shape[1:])}"
                    raise ValueError(f"{path} has {sizes}: it is of another image; predict again")
    return found


def _labels(paths: Sequence[Path], shown: Shown) -> np.ndarray:
    """Read labels (*S), or regions (R, *S) bool from one file or several, in the axes of the case."""
    if not shown["regions"]:
        return _mask(paths[0])
    if len(paths) == 1 and volume_stem(paths[0]) is not None:
        return read_volume(paths[0]).image > 0  # the layers of one file
    return np.stack([_mask(path) > 0 for path in paths])


def _mask(path: Path) -> np.ndarray:
    if volume_stem(path) is not None:
        return read_labels(path).image[0]
    return _tiff(path) if path.suffix in TIFF_SUFFIXES else read_mask(path)


def _tiff(path: Path) -> np.ndarray:
    """Read a TIFF of any number of pages, with colors or without."""
    with naming(path):
        return tifffile.imread(path)


def _probabilities(path: Path, case: Case) -> np.ndarray:
    """Read (K, *S) in the axes of the case; values stay in the file until they are used."""
    with naming(path):
        probs = np.load(path, mmap_mode="r", allow_pickle=False)
    if case.affine is None:
        return probs
    return to_ras(np.moveaxis(probs, 0, -1), file_affine(case), path, view=True).image
