"""ISBI 2012: neuronal membranes in serial-section electron microscopy."""

from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from segexp.data.case import Case, Entry
from segexp.data.files.download import RemoteFile, fetch_all
from segexp.data.files.images import pair_facts, read_image, read_mask, read_stack, require_same_size
from segexp.data.files.mask_values import map_values
from segexp.errors import require_choice, some

URL = "https://raw.githubusercontent.com/zhixuhao/unet/b45af4d458437d8281cc218a07fd4380818ece4a/"
SLICES = 30
NAMES = [f"slice_{index:02d}" for index in range(SLICES)]
VALUES = {255: 0, 0: 1}
SPACING = (4.0, 4.0)


class ISBI:
    """The 30 labeled slices of the ISBI 2012 challenge: 512 × 512, 4 nm per pixel, 50 nm apart.

    Class 0 is the interior of cells (255 in the files), class 1 the membrane (0 in the files). Cases are named
    slice_00 … slice_29, from the top of the stack; neighbors resemble each other, so hold out contiguous blocks.

    Args:
        root: Folder with either the challenge's stacks train-volume.tif and train-labels.tif, or single slices
            train/image/0.png … 29.png and train/label/0.png … 29.png (.tif as well).
        download: Whether, if neither is there, to fetch the slices into ``root`` (13 MB, SHA-256 pinned, with the test
            slices).
        url: URL under which data/membrane/train/image/0.png and the others lie; ends with a slash.

    Terms, from the challenge: free "for the purpose of generating or testing non-commercial image segmentation
    software"; publications must cite TrakEM2 and Cardona et al. 2010.

    Source: Cardona et al. 2010 (PLoS Biology 8(10):e1000502); Arganda-Carreras et al. 2015 (Frontiers in Neuroanatomy
    9:142); files: the GitHub repository zhixuhao/unet.
    """

    mask_values = VALUES

    def __init__(self, root: str | Path, download: bool = True, url: str = URL) -> None:
        self.root = Path(root)
        self.download = download
        self.url = url
        self._stack_files = (self.root / "train-volume.tif", self.root / "train-labels.tif")

    def prepare(self) -> None:
        """Download the slices if they are missing and ``download`` is on."""
        if not self._missing():
            return
        cause = "download is off"
        if self.download:
            try:
                fetch_all(_remote_files(self.url), self.root)
                return
            except OSError as error:
                cause = str(error)
        raise FileNotFoundError(
            f"ISBI 2012 is incomplete in {self.root} ({cause}): missing are {some(self._missing(), 3)}, of either "
            f"train-volume.tif and train-labels.tif, or the slices train/image/0.png … {SLICES - 1}.png and "
            f"train/label/0.png … {SLICES - 1}.png (data=synthetic works meanwhile)"
        )

    def entries(self) -> list[Entry]:
        """Return slice_00 … slice_29."""
        return [Entry(name, self._files(index)) for index, name in enumerate(NAMES)]

    def read(self, name: str) -> Case:
        """Read one slice: image (1, H, W) uint8, target (H, W) uint8."""
        require_choice("name", name, NAMES)
        index = NAMES.index(name)
        files = self._files(index)
        if self._has_stacks():
            image, raw = (stack[index] for stack in self._stacks)
            image = image[None].copy()
        else:
            image, raw = read_image(files[0], channels=1), read_mask(files[1])
        require_same_size(image, raw, *files)
        target = map_values(raw, VALUES, 0, files[1])
        return Case(name, image, target, SPACING, "nm", files, facts=pair_facts(image, raw, *files))

    def _files(self, index: int) -> tuple[Path, Path]:
        return self._stack_files if self._has_stacks() else (self._slice("image", index), self._slice("label", index))

    def _has_stacks(self) -> bool:
        return all(path.is_file() for path in self._stack_files)

    @cached_property
    def _stacks(self) -> list[np.ndarray]:
        """Images and labels of the challenge's stacks."""
        stacks = [read_stack(path) for path in self._stack_files]
        for path, stack in zip(self._stack_files, stacks, strict=True):
            if len(stack) != SLICES:
                raise ValueError(f"{path} has {len(stack)} pages where {SLICES} are expected: get the whole file again")
        return stacks

    def _slice(self, kind: str, index: int) -> Path:
        """Return train/<kind>/<index> under the first known suffix that is there, else as .png."""
        paths = [self.root / "train" / kind / f"{index}{suffix}" for suffix in (".png", ".tif", ".tiff")]
        return next((path for path in paths if path.is_file()), paths[0])

    def _missing(self) -> list[str]:
        """Return the files that prevent reading; of the stacks only if one of them is there."""
        stacks = [path for path in self._stack_files if not path.is_file()]
        slices = [self._slice(kind, index) for kind in ("image", "label") for index in range(SLICES)]
        missing = stacks if len(stacks) < 2 else [path for path in slices if not path.is_file()]
        return [path.relative_to(self.root).as_posix() for path in missing]


def _remote_files(url: str) -> list[RemoteFile]:
    """List the slices: data/membrane/train/image/N.png at ``url`` is train/image/N.png here, and so on."""
    lines = resources.files(__package__).joinpath("isbi2012.sha256").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines]
    return [
        RemoteFile(url + file, file.removeprefix("data/membrane/"), sha256, int(size)) for sha256, file, size in rows
    ]
