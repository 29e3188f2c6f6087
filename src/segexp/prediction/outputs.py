"""The files that predicted inputs leave: their names, that they take no other's place, and how they are written."""

import math
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segexp.checkpoints.description import ModelDescription
from segexp.data.case import Case
from segexp.data.files.segments import snap_description
from segexp.data.files.volumes import volume_stem
from segexp.data.files.writing import in_file_axes, label_dtype, suffix_for, write_map
from segexp.pictures.overlays import draw_overlay
from segexp.prediction.formats import FORMATS, MaskFormat
from segexp.prediction.inputs import Input
from segexp.prediction.legend import background_of, legend_of
from segexp.prediction.maps import Maps, integer_values
from segexp.prediction.objects import measure_objects
from segexp.prediction.segmenter import Segmenter
from segexp.runs.files import table_text


@dataclass(frozen=True)
class Outputs:
    """Files that one input leaves, relative to the output folder."""

    masks: tuple[Path, ...]  # the mask, or one per region, in their order, unless the format joins them
    others: Mapping[str, Path]  # "probabilities", "entropy", "std", "overlay", "objects", as far as they are wanted
    form: MaskFormat = FORMATS["auto"]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files; the masks, which come last, say that an input is done."""
        return (*self.others.values(), *self.masks)


def outputs_of(
    item: Input, segmenter: Segmenter, overlay: bool, measure: bool = False, form: MaskFormat = FORMATS["auto"]
) -> Outputs:
    """Name the files that an input leaves.

    Raises:
        ValueError: The format of the masks does not go with the input.
    """
    regions = None if form.joined else segmenter.description.regions
    mask_suffix = form.suffix(item.files[0], segmenter.description)
    map_suffix = suffix_for(item.files[0], np.dtype(np.float32))
    stem = Path(item.name)
    masks = [stem.with_name(f"{stem.name}{ending}{mask_suffix}") for ending in (_endings(regions) if regions else [""])]
    wanted = {
        "probabilities": segmenter.settings.probabilities and ".npy",
        "entropy": segmenter.settings.uncertainty and map_suffix,
        "std": segmenter.has_std and map_suffix,
        "overlay": overlay and ".png",
        "objects": measure and ".csv",
    }
    others = {name: stem.with_name(f"{stem.name}_{name}{suffix}") for name, suffix in wanted.items() if suffix}
    return Outputs(tuple(masks), others, form)


def _endings(regions: Iterable[str]) -> list[str]:
    """Ending of each region's file: its name, without what file systems do not take."""
    plain = [re.sub(r"[^\w-]+", "_", name) for name in regions]
    twice = len(set(map(str.lower, plain))) < len(plain)
    return [f"_{index}_{name}" if twice else f"_{name}" for index, name in enumerate(plain)]


def require_free(jobs: Mapping[Input, Outputs], folder: Path) -> None:
    """Refuse, by a ValueError, outputs that would overwrite inputs or one another, or lie outside the folder."""
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


def require_space(case: Case, outputs: Outputs, segmenter: Segmenter, folder: Path) -> None:
    """Refuse, by a ValueError, an input whose outputs, uncompressed, and mapped arrays may not fit on the disk."""
    # Each file may lie there twice: as the mapped array that is filled, and as the file that is written from it.
    bytes_per_pixel = {"probabilities": 4 * segmenter.parts, "entropy": 8, "std": 8}
    label_bytes = label_dtype(integer_values(segmenter.description)).itemsize
    masks = 2 * max(label_bytes, len(outputs.masks))
    maps = sum(bytes_per_pixel.get(name, 0) for name in outputs.others)
    needed = math.prod(case.image.shape[1:]) * (masks + maps) + segmenter.scratch(case)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{case.files[0]} may take {needed / 1e6:,.1f} MB in {folder}, where {free / 1e6:,.1f} MB are free: make "
            "room, or leave out probabilities and uncertainty"
        )


def write_outputs(maps: Maps, case: Case, outputs: Outputs, description: ModelDescription, folder: Path) -> None:
    """Write masks and maps."""
    outputs.form.write_all(maps.labels, case, [folder / path for path in outputs.masks], description)
    for name, path in outputs.others.items():
        if name == "overlay":
            Image.fromarray(draw_overlay(case.image, maps.labels, integer_values(description)[1:])).save(folder / path)
        elif name == "objects":
            rows = measure_objects(maps.labels, case, description)
            (folder / path).write_text(table_text(rows) if rows else "class,object\r\n", encoding="utf-8", newline="")
        elif name == "probabilities":
            assert maps.probabilities is not None
            np.save(folder / path, in_file_axes(maps.probabilities, case))
        else:
            write_map(getattr(maps, name), case, folder / path)


def snap_labels(outputs: Iterable[Outputs], description: ModelDescription) -> str:
    """Write what ITK-SNAP needs to name and color masks; empty where no mask is a volume of labels that it knows."""
    volumes = any(volume_stem(path) is not None for each in outputs for path in each.masks if not each.form.joined)
    if not volumes or description.regions or background_of(description):
        return ""
    try:
        return snap_description(legend_of(description))
    except ValueError:  # labels that it does not know
        return ""
