"""``segexp predict``: masks of new images, from one trained network or several, each in the geometry of its file."""

import math
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segexp.checkpoints.description import ModelDescription
from segexp.commands.arguments import REQUIRED, parse
from segexp.data.case import Case
from segexp.data.files.writing import in_file_axes, is_whole, label_dtype, suffix_for, write_map
from segexp.errors import short_path
from segexp.foreign import one_line
from segexp.pictures.overlays import draw_overlay
from segexp.prediction import Maps, Segmenter, Settings, open_models
from segexp.prediction.inputs import Input, find_inputs, read_input
from segexp.prediction.maps import integer_values
from segexp.terminal import Console
from segexp.writing import hidden_folder, remove_folder, settle

SETTINGS = {field.name: field.default for field in fields(Settings)}
DEFAULTS = {
    **dict.fromkeys(("run", "input", "output"), REQUIRED),
    **SETTINGS,
    "overlays": False,
    "overwrite": False,
    "spacing": None,
}
COMMENTS = {
    "run": "run folder (its best epoch), checkpoint or exported .safetensors; several with commas are averaged",
    "input": 'file, folder (also of a DICOM series), or pattern such as "scans/**/*.nii.gz"',
    "output": "folder",
    "probabilities": "also NAME_probabilities.npy: (classes, *axes of the mask) float16; true, false",
    "uncertainty": "also NAME_entropy and, of several networks or views, NAME_std; true, false",
    "overlays": "also NAME_overlay.png, the mask on the image; true, false",
    "tta": "average over views of each tile: none, flips (4), turns (8: flips and quarter turns)",
    "overwrite": "predict again what is there; true, false",
    "device": "auto (a GPU where there is one), cpu, cuda, cuda:1, mps",
    "tile": "px, one side for all axes or [..]; whole = the image in one go; null = as in training",
    "overlap": "fraction of a tile in common with the next one, from 0 to below 1; null = as in training",
    "border": "mirrored px beyond the image, or auto; null = as in training",
    "blending": "of overlapping tiles: gaussian, constant; null = as in training",
    "batch_size": "tiles at a time; null = as in training",
    "accumulate": "where tiles are added up: device; cpu where overlaps are too large for a GPU",
    "postprocess": "apply the steps that the run keeps (segexp evaluate tune=true); true, false",
    "spacing": "size of a pixel per axis, of flat images and stacks, in the unit of the training: [0.5, 0.5]",
}


@dataclass(frozen=True)
class Outputs:
    """Files that one input leaves, relative to the output folder."""

    masks: tuple[Path, ...]  # the mask, or one per region, in their order
    others: Mapping[str, Path]  # "probabilities", "entropy", "std" and "overlay", as far as they are wanted

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files; the masks, which come last, say that an input is done."""
        return (*self.others.values(), *self.masks)


def predict(words: list[str]) -> None:
    """Predict files one after the other; continue after one that cannot be predicted.

    Raises:
        FileNotFoundError: There is no such run or input.
        ValueError: An argument is wrong, the runs do not go together, or outputs would take the place of inputs.
        SystemExit: With status 1, some inputs could not be predicted.
    """
    arguments = parse(words, DEFAULTS, COMMENTS, "predict")
    settings = Settings(**{key: arguments[key] for key in SETTINGS})
    segmenter = Segmenter(open_models(arguments["run"]), settings)
    if segmenter.steps_differ and settings.postprocess:
        print("the runs keep different post-processing steps: none is applied")
    # Every name is known, and checked, before anything is predicted.
    folder = Path(arguments["output"])
    inputs = find_inputs(arguments["input"], segmenter.channels)
    jobs = {item: outputs_of(item, segmenter, arguments["overlays"]) for item in inputs}
    _require_free(jobs, folder)
    waiting = inputs if arguments["overwrite"] else [item for item in inputs if not _is_done(jobs[item], folder)]
    spacing = arguments["spacing"]
    failures = {}
    with hidden_folder(folder) as part, _bar() as bar:
        task = bar.add_task("", total=len(waiting))
        for item in waiting:
            bar.update(task, description=one_line(item.name))
            try:
                # No name holds the case, so that it is free before the next one is read.
                _predict_one(
                    read_input(item, segmenter.channels, spacing), jobs[item], segmenter, folder, part, _Tiles(bar)
                )
            except Exception as error:  # a bad file must not cost the others
                failures[item] = error
            remove_folder(part)
            bar.advance(task)
    _report(len(waiting) - len(failures), len(inputs) - len(waiting), failures, folder)
    if failures:
        sys.exit(1)


def _is_done(outputs: Outputs, folder: Path) -> bool:
    """Whether all files of an input are there and whole; says which is damaged."""
    there = [folder / path for path in outputs.paths if (folder / path).exists()]
    damaged = [path for path in there if not is_whole(path)]
    for path in damaged:
        print(f"{path} is damaged: it is predicted again", file=sys.stderr)
    return len(there) == len(outputs.paths) and not damaged


def outputs_of(item: Input, segmenter: Segmenter, overlay: bool) -> Outputs:
    """Name the files that an input leaves."""
    regions = segmenter.description.regions
    mask_type = np.dtype(np.uint8) if regions else label_dtype(integer_values(segmenter.description))
    mask_suffix = suffix_for(item.files[0], mask_type)
    map_suffix = suffix_for(item.files[0], np.dtype(np.float32))
    stem = Path(item.name)
    masks = [stem.with_name(f"{stem.name}{ending}{mask_suffix}") for ending in (_endings(regions) if regions else [""])]
    wanted = {
        "probabilities": segmenter.settings.probabilities and ".npy",
        "entropy": segmenter.settings.uncertainty and map_suffix,
        "std": segmenter.has_std and map_suffix,
        "overlay": overlay and ".png",
    }
    others = {name: stem.with_name(f"{stem.name}_{name}{suffix}") for name, suffix in wanted.items() if suffix}
    return Outputs(tuple(masks), others)


def _endings(regions: Iterable[str]) -> list[str]:
    """Ending of each region's file: its name, without what file systems do not take."""
    plain = [re.sub(r"[^\w-]+", "_", name) for name in regions]
    twice = len(set(map(str.lower, plain))) < len(plain)
    return [f"_{index}_{name}" if twice else f"_{name}" for index, name in enumerate(plain)]


def _require_free(jobs: Mapping[Input, Outputs], folder: Path) -> None:
    """Refuse outputs that would take the place of inputs or of one another, or lie outside the folder."""
    sources = {path.resolve(): path for item in jobs for path in item.files}
    root = folder.resolve()
    taken: dict[Path, Input] = {}
    for item, outputs in jobs.items():
        for path in outputs.paths:
            target = (folder / path).resolve()
            if target in sources:
                raise ValueError(f"output={folder} would overwrite the input {sources[target]}: give another folder")
            if not target.is_relative_to(root):
                raise ValueError(f"{item.files[0]} would be written to {target}, outside output={folder}")
            other = taken.setdefault(target, item)
            if other is not item:
                raise ValueError(
                    f"{other.files[0]} and {item.files[0]} would both become {path}: rename one of them, or predict "
                    "them into different folders"
                )


def _predict_one(case: Case, outputs: Outputs, segmenter: Segmenter, folder: Path, part: Path, tiles: "_Tiles") -> None:
    """Predict a case into a hidden folder, ``part``, and move the files to their places once all are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    _require_space(case, outputs, segmenter, folder)
    part.mkdir(exist_ok=True)
    maps = segmenter(case, part, tiles)
    for path in outputs.paths:
        (part / path).parent.mkdir(parents=True, exist_ok=True)
    _write(maps, case, outputs, segmenter.description, part)
    for path in outputs.paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        settle(part / path, folder / path)


def _write(maps: Maps, case: Case, outputs: Outputs, description: ModelDescription, folder: Path) -> None:
    """Write masks and maps; inside a region is 1 in volumes, and 255, which can be seen, in images and stacks."""
    inside = np.uint8(255 if case.affine is None else 1)
    masks = (region * inside for region in maps.labels) if description.regions else [maps.labels]
    for mask, path in zip(masks, outputs.masks, strict=True):
        write_map(mask, case, folder / path)
    for name, path in outputs.others.items():
        if name == "overlay":
            Image.fromarray(draw_overlay(case.image, maps.labels, integer_values(description)[1:])).save(folder / path)
        elif name == "probabilities":
            assert maps.probabilities is not None
            np.save(folder / path, in_file_axes(maps.probabilities, case))
        else:
            write_map(getattr(maps, name), case, folder / path)


def _require_space(case: Case, outputs: Outputs, segmenter: Segmenter, folder: Path) -> None:
    """Refuse an input whose outputs, uncompressed, and mapped arrays may not fit on the disk."""
    # Each file may lie there twice: as the mapped array that is filled, and as the file that is written from it.
    bytes_per_pixel = {"probabilities": 4 * segmenter.parts, "entropy": 8, "std": 8}
    label_bytes = label_dtype(integer_values(segmenter.description)).itemsize
    masks = 2 * max(label_bytes, len(outputs.masks))
    maps = sum(bytes_per_pixel.get(name, 0) for name in outputs.others)
    needed = math.prod(case.image.shape[1:]) * (masks + maps) + segmenter.scratch(case)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{case.files[0]} may take {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free: make "
            "room, or leave out probabilities and uncertainty"
        )


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


def _report(done: int, skipped: int, failures: Mapping[Input, Exception], folder: Path) -> None:
    """Print how many were predicted, and why others were not."""
    counts = {"predicted": done, "already there (overwrite=true predicts them again)": skipped, "failed": len(failures)}
    print(", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "predicted"), end="")
    print(f"; masks in {short_path(folder)}")
    for item, error in failures.items():
        reason = one_line(error)
        if not isinstance(error, ValueError | OSError):  # none that was foreseen
            reason = f"{type(error).__name__}: {reason}"
        if str(item.files[0]) not in reason:
            reason = f"{item.files[0]}: {reason}"
        print(f"failed: {reason}", file=sys.stderr)
