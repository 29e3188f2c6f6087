"""The MNI152 template: gray and white matter in the mean brain of 152 people."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from segexp.data.case import Case, Entry
from segexp.data.files.mask_values import file_facts
from segexp.data.files.volumes import to_ras
from segexp.errors import require_at_least, require_choice


class MNI152:
    """The T1-weighted MNI ICBM152 template (2009a, symmetric) that nilearn brings along; nothing is downloaded.

    Class 0 is background and all other tissue, 1 gray matter, 2 white matter: whichever of the three is most probable
    by the template's own maps. There is one volume only, cropped to the box around classes 1 and 2. So that it can be
    split, it is cut into ``blocks`` of neighboring slices, each a case, block_00 first in the direction of the axis.
    Blocks that touch resemble each other at the cut, and all are one brain, smoothed by averaging: good to try things
    out, not to tell how a network does on patients.

    Args:
        resolution: Side of a voxel in mm, an integer; 1 is that of the files, more is interpolated.
        blocks: Number of cases, at least 3 and at most the slices of the cropped template.
        axis: Axis across which slices lie: 0 (axial, from inferior to superior), 1 (coronal, from posterior to
            anterior) or 2 (sagittal, from left to right).

    Raises:
        ValueError: An argument is out of its range.

    Terms: free to use, copy, change and hand on for any purpose with the copyright notice of Louis Collins, McConnell
    Brain Imaging Center, Montreal Neurological Institute.

    Source: Fonov et al. 2011 (NeuroImage 54(1):313-327); nilearn.datasets.load_mni152_template.
    """

    def __init__(self, resolution: int = 1, blocks: int = 12, axis: int = 0) -> None:
        require_at_least("resolution", resolution, 1, integer=True)
        require_at_least("blocks", blocks, 3, integer=True)
        require_choice("axis", axis, (0, 1, 2))
        self.resolution = resolution
        self.blocks = blocks
        self.axis = axis

    def prepare(self) -> None:
        """Check that nilearn is installed."""
        _nilearn()

    def entries(self) -> list[Entry]:
        """Return block_00, block_01 and so on."""
        return [Entry(name, _files()) for name in self._names()]

    def read(self, name: str) -> Case:
        """Read one block: image (1, D, H, W) float32 in [0, 1], target (D, H, W) uint8.

        Raises:
            ValueError: There is no such block, or it is empty as there are more blocks than slices.
        """
        require_choice("name", name, self._names())
        whole = _template(self.resolution)
        count = whole.image.shape[self.axis + 1]
        if self.blocks > count:
            raise ValueError(f"blocks={self.blocks} must be at most {count}, the number of slices")
        bounds = np.linspace(0, count, self.blocks + 1).round().astype(int)
        index = self._names().index(name)
        window = [slice(None)] * 3
        window[self.axis] = slice(bounds[index], bounds[index + 1])
        block = _cropped(whole, tuple(window))
        return replace(block, name=name, facts=file_facts(block.image, block.target))

    def _names(self) -> list[str]:
        return [f"block_{index:02d}" for index in range(self.blocks)]


@lru_cache(maxsize=1)
def _template(resolution: int) -> Case:
    """The cropped template; kept, since reading it takes seconds at any resolution."""
    nilearn = _nilearn()
    loaders = (nilearn.load_mni152_template, nilearn.load_mni152_gm_template, nilearn.load_mni152_wm_template)
    images = [load(resolution) for load in loaders]
    t1, gray, white = (
        to_ras(np.asarray(image.dataobj)[..., None], image.affine, path)
        for image, path in zip(images, _files(), strict=True)
    )
    target = np.concatenate([1 - gray.image - white.image, gray.image, white.image]).argmax(axis=0).astype(np.uint8)
    return _cropped(replace(t1, target=target, files=_files()), ndimage.find_objects((target > 0).astype(np.uint8))[0])


def _files() -> tuple[Path, ...]:
    """Files of the T1 image, and of the probabilities of gray and of white matter."""
    struct = _nilearn().struct
    return tuple(map(Path, (struct.MNI152_FILE_PATH, struct.GM_MNI152_FILE_PATH, struct.WM_MNI152_FILE_PATH)))


def _cropped(case: Case, window: tuple[slice, ...]) -> Case:
    """Cut a window (D, H, W) out of a case with truth and affine."""
    assert case.target is not None
    assert case.affine is not None
    affine = case.affine.copy()
    affine[:3, 3] = (case.affine @ [*(part.start or 0 for part in reversed(window)), 1])[:3]
    return replace(case, image=case.image[:, *window].copy(), target=case.target[window].copy(), affine=affine)


def _nilearn() -> Any:
    try:
        from nilearn import datasets
    except ImportError as error:
        raise ValueError("MNI152 comes with nilearn, which is not installed: pip install 'segexp[mni]'") from error
    return datasets
