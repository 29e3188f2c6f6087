"""Nuclei of the 2018 Data Science Bowl: light microscopy of many kinds, each nucleus numbered."""

import csv
from functools import cached_property
from pathlib import Path

import numpy as np

from segexp.data.case import Case, Entry
from segexp.data.files.images import pair_facts, read_image, read_mask, require_same_size
from segexp.data.sources.border import border_of
from segexp.data.sources.instances import numbered
from segexp.errors import did_you_mean, require_at_least, some

COLUMNS = ("image_id", "stratum", "height", "width", "nuclei")


class Nuclei:
    """Microscope images of stained nuclei, fluorescent or in tissue, in several sizes; read as RGB.

    Class 0 is the background, class 1 the nuclei. Nuclei touch, so that connected components of class 1 are fewer than
    the nuclei, which scores count by their numbers; with a ``border_width``, class 2 comes between them, see
    ``border_of``.

    Args:
        root: Folder with images/ID.png, labels/ID.png (16 bits: 0 = background, 1 … N = the nuclei) and index.csv,
            whose columns image_id, stratum, height, width and nuclei say of each image its kind, such as "fluo", its
            size and the number of its nuclei. Splits keep the kinds in proportion.
        border_width: Reach of the border, in pixels; 0 = two classes without a border.
        instances: Whether scores keep touching nuclei apart by their numbers; else they count connected components.

    Raises:
        ValueError: ``border_width`` is negative.

    Terms: CC0 (public domain). Publications cite Caicedo et al. 2019.

    Source: Caicedo et al. 2019 (Nature Methods 16:1247-1253), image set BBBC038 of the Broad Bioimage Benchmark
    Collection.
    """

    def __init__(self, root: str | Path, border_width: int = 0, instances: bool = True) -> None:
        require_at_least("border_width", border_width, 0, integer=True)
        self.root = Path(root)
        self.border_width = border_width
        self.instances = instances

    def prepare(self) -> None:
        """Check that the index and the files name the same images."""
        missing = [file for entry in self.entries() for file in entry.files if not file.is_file()]
        if missing:
            names = some(file.relative_to(self.root).as_posix() for file in missing)
            raise FileNotFoundError(f"the nuclei in {self.root} lack files that index.csv names: {names}: {_REMEDY}")
        strange = [f.name for f in sorted(self.root.glob("images/*.png")) if f.stem not in self._index]
        if strange:
            raise ValueError(f"{self.root / 'index.csv'} lacks the images {some(strange)}: add a row for each")

    def entries(self) -> list[Entry]:
        """Return the images in the order of the index; the stratum is their kind."""
        return [Entry(name, self._files(name), stratum=row["stratum"]) for name, row in self._index.items()]

    def read(self, name: str) -> Case:
        """Read one image: image (3, H, W) uint8, target (H, W) uint8; it must be as the index says."""
        if name not in self._index:
            raise ValueError(f"{self.root / 'index.csv'} has no image {name!r}{did_you_mean(name, self._index)}")
        files = self._files(name)
        image, nuclei = read_image(files[0], channels=3), read_mask(files[1])
        require_same_size(image, nuclei, *files)
        counted = (*nuclei.shape, len(np.unique(nuclei[nuclei > 0])))
        indexed = tuple(self._index[name][column] for column in COLUMNS[2:])
        if indexed != tuple(map(str, counted)):
            raise ValueError(
                f"{files[1]} has height, width and nuclei {counted}, index.csv says {indexed}: correct one of them"
            )
        target = (nuclei > 0).astype(np.uint8)
        if self.border_width:
            target[border_of(nuclei, self.border_width)] = 2
        instances = numbered(np.where(target == 1, nuclei, 0), target) if self.instances else None
        facts = pair_facts(image, nuclei, *files)
        return Case(name, image, target, (1.0, 1.0), files=files, facts=facts, instances=instances)

    def _files(self, name: str) -> tuple[Path, Path]:
        return self.root / "images" / f"{name}.png", self.root / "labels" / f"{name}.png"

    @cached_property
    def _index(self) -> dict[str, dict[str, str]]:
        """Rows of index.csv by image."""
        path = self.root / "index.csv"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: {_REMEDY}")
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        lacks = [column for column in COLUMNS if not rows or rows[0].get(column) is None]
        if lacks:
            raise ValueError(f"{path} lacks rows or the columns {some(lacks)}: it must have {some(COLUMNS)}")
        index = {row["image_id"]: row for row in rows}
        if len(index) < len(rows):
            raise ValueError(f"{path} names {len(rows) - len(index)} images twice: keep one row of each")
        return index


_REMEDY = (
    "put there images/ID.png, labels/ID.png (the masks of an image's nuclei as one 16-bit PNG, numbered from 1) and "
    f"index.csv with {', '.join(COLUMNS)}; images and masks are stage1_train of "
    "BBBC038; as they are unpacked, one file per nucleus, data=folder reads them"
)
