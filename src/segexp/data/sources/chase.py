"""CHASE_DB1: retinal vessels in fundus photographs, drawn by two observers."""

from pathlib import Path

from segexp.data.case import Case, Entry
from segexp.data.sources.pairs import CaseFiles, PairReader
from segexp.errors import require_choice, some

NAMES = [f"{child:02d}{eye}" for child in range(1, 15) for eye in "LR"]
OBSERVERS = ("1stHO", "2ndHO")
VALUES = {0: 0, 255: 1}


class Chase:
    """Both eyes of 14 children: 28 RGB photographs of 999 × 960 pixels, vessels outlined by two observers.

    Class 0 is the background, class 1 the vessels. Cases are named 01L, 01R, … 14R; both eyes of a child are one group
    and must stay in one split. The literature mostly trains on the first 20 images and tests on the last 8.

    The data set has no masks of the field of view. Here it is found in the photograph, see ``fundus``. What an observer
    drew beyond it does not count: 0.08 % of the first one's vessel pixels, 0.02 % of the second one's.

    Args:
        root: Folder with Image_01L.jpg, Image_01L_1stHO.png, Image_01L_2ndHO.png and so on.
        truth: Observer whose vessels are the target: "1stHO", as is usual, or "2ndHO". The other one's are kept beside
            it, as the mark that a human reaches.

    Raises:
        ValueError: There is no such observer.

    Terms: made public by Kingston University, London, for training and testing of vessel segmentation; no license deed
    is known. Publications cite Owen et al. 2009 and Fraz et al. 2012.

    Source: Owen et al. 2009 (Investigative Ophthalmology & Visual Science 50(5):2004-2010); Fraz et al. 2012 (IEEE
    Transactions on Biomedical Engineering 59(9):2538-2548).
    """

    mask_values = VALUES
    field_of_view = "fundus"

    def __init__(self, root: str | Path, truth: str = "1stHO") -> None:
        require_choice("truth", truth, OBSERVERS)
        self.root = Path(root)
        self.truth = truth
        self._reader = PairReader(VALUES, channels=3, field_of_view=self.field_of_view)
        self._observers = OBSERVERS if truth == OBSERVERS[0] else OBSERVERS[::-1]  # that of the target first

    def prepare(self) -> None:
        """Check that all files are there."""
        missing = [file.name for entry in self.entries() for file in entry.files if not file.is_file()]
        if missing:
            raise FileNotFoundError(
                f"CHASE_DB1 is incomplete in {self.root}: missing are {some(missing, 3)} of its 84 files"
            )

    def entries(self) -> list[Entry]:
        """Return 01L, 01R, … 14R; the group is the child."""
        return [Entry(name, self._files(name).all, group=name[:2]) for name in NAMES]

    def read(self, name: str) -> Case:
        """Read one photograph: image (3, H, W) uint8, target and field of view (H, W)."""
        require_choice("name", name, NAMES)
        return self._reader.read_files(name, self._files(name))

    def _files(self, name: str) -> CaseFiles:
        truth, other = (self.root / f"Image_{name}_{observer}.png" for observer in self._observers)
        return CaseFiles((self.root / f"Image_{name}.jpg",), (truth,), others={self._observers[1]: other})
