"""DRIVE: retinal vessels in fundus photographs, with fields of view, and a second observer of the test set."""

from pathlib import Path

from segexp.data.case import Case, Entry
from segexp.data.sources.pairs import CaseFiles, PairReader
from segexp.errors import require_choice, some

SPLITS = {f"{number:02d}": "test" if number <= 20 else "train" for number in range(1, 41)}
VALUES = {0: 0, 1: 1, 255: 1}  # the second observer's GIFs hold 0 and 1, all others 0 and 255
WRITTEN = {0: 0, 255: 1}  # in masks of our own
FOLDERS = {"train": "training", "test": "test"}


class Drive:
    """40 RGB photographs of 565 × 584 pixels (width × height): 20 to train on, 20 to test on.

    Class 0 is the background, class 1 the vessels. Cases are named 01 … 20 (test) and 21 … 40 (train); the data set
    prescribes this split. What lies outside of its masks of the field of view counts nowhere. The test photographs have
    the vessels of a second observer too, the mark that a human reaches.

    Args:
        root: Folder with training/ and test/, both with images/NN_*.tif, 1st_manual/NN_manual1.gif, mask/NN_*_mask.gif;
            test/ with 2nd_manual/NN_manual2.gif, too.

    Terms: for research; do not hand it on. Publications cite Staal et al. 2004.

    Source: Staal et al. 2004 (IEEE Transactions on Medical Imaging 23(4):501-509).
    """

    mask_values = WRITTEN
    field_of_view = "fundus"  # for photographs that come without a mask

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._reader = PairReader(VALUES, channels=3)

    def prepare(self) -> None:
        """Check that all files are there."""
        missing = [
            file.relative_to(self.root).as_posix()
            for name in SPLITS
            for file in self._files(name).all
            if not file.is_file()
        ]
        if missing:
            raise FileNotFoundError(
                f"DRIVE is incomplete in {self.root}: missing are {some(missing, 3)} of training/ and test/, each with "
                "images, 1st_manual and mask, test/ with 2nd_manual too (without test/1st_manual the truth is lacking "
                "of the test photographs)"
            )

    def entries(self) -> list[Entry]:
        """Return 01 … 40 with their splits."""
        return [Entry(name, self._files(name).all, split=split) for name, split in SPLITS.items()]

    def read(self, name: str) -> Case:
        """Read one photograph: image (3, H, W) uint8, target and field of view (H, W)."""
        require_choice("name", name, list(SPLITS))
        return self._reader.read_files(name, self._files(name))

    def _files(self, name: str) -> CaseFiles:
        kind = FOLDERS[SPLITS[name]]
        folder = self.root / kind
        return CaseFiles(
            images=(folder / "images" / f"{name}_{kind}.tif",),
            masks=(folder / "1st_manual" / f"{name}_manual1.gif",),
            valid=folder / "mask" / f"{name}_{kind}_mask.gif",
            others={"2nd_manual": folder / "2nd_manual" / f"{name}_manual2.gif"} if kind == "test" else {},
        )
