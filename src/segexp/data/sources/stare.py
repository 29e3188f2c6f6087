"""STARE: retinal vessels in fundus photographs, drawn by two observers."""

from pathlib import Path

from segexp.data.case import Case, Entry
from segexp.data.sources.pairs import CaseFiles, PairReader
from segexp.errors import require_choice, some

NUMBERS = (1, 2, 3, 4, 5, 44, 77, 81, 82, 139, 162, 163, 235, 236, 239, 240, 255, 291, 319, 324)
NAMES = [f"im{number:04d}" for number in NUMBERS]
OBSERVERS = ("ah", "vk")
VALUES = {0: 0, 255: 1}


class Stare:
    """20 RGB photographs of 700 × 605 pixels (width × height), vessels drawn by two observers.

    Class 0 is the background, class 1 the vessels. Cases are named im0001 … im0324. The data set prescribes no split:
    five folds are usual, as is leaving out one photograph after the other.

    The data set has no masks of the field of view. Here it is found in the photograph, see ``fundus``; what an observer
    drew beyond it counts nowhere.

    Args:
        root: Folder with stare-images/im0001.ppm, labels-ah/im0001.ah.ppm, labels-vk/im0001.vk.ppm and so on.
        truth: Observer whose vessels are the target: "ah" (Adam Hoover), as is usual, or "vk" (Valentina Kouznetsova).
            The other one's are kept beside it, as the mark that a human reaches.

    Raises:
        ValueError: There is no such observer.

    Terms: not stated with the data; publications cite Hoover et al. 2000.

    Source: Hoover et al. 2000 (IEEE Transactions on Medical Imaging 19(3):203-210).
    """

    mask_values = VALUES
    field_of_view = "fundus"

    def __init__(self, root: str | Path, truth: str = "ah") -> None:
        require_choice("truth", truth, OBSERVERS)
        self.root = Path(root)
        self.truth = truth
        self._reader = PairReader(VALUES, channels=3, field_of_view=self.field_of_view)

    def prepare(self) -> None:
        """Check that all files are there, unpacked."""
        missing = [file for name in NAMES for file in self._files(name).all if not file.is_file()]
        if not missing:
            return
        packed = [file for file in missing if file.with_name(f"{file.name}.gz").is_file()]
        if packed:
            raise FileNotFoundError(
                f"{len(packed)} files of STARE are still compressed in {self.root}, such as {packed[0].name}.gz: "
                f"unpack them with  gunzip {self.root}/*/*.ppm.gz"
            )
        raise FileNotFoundError(
            f"STARE is incomplete in {self.root}: missing are "
            f"{some((file.relative_to(self.root).as_posix() for file in missing), 3)} of the folders stare-images, "
            "labels-ah and labels-vk, which are archives of these names"
        )

    def entries(self) -> list[Entry]:
        """Return im0001 … im0324."""
        return [Entry(name, self._files(name).all) for name in NAMES]

    def read(self, name: str) -> Case:
        """Read one photograph: image (3, H, W) uint8, target and field of view (H, W)."""
        require_choice("name", name, NAMES)
        return self._reader.read_files(name, self._files(name))

    def _files(self, name: str) -> CaseFiles:
        labels = {who: self.root / f"labels-{who}" / f"{name}.{who}.ppm" for who in OBSERVERS}
        truth = labels.pop(self.truth)
        return CaseFiles((self.root / "stare-images" / f"{name}.ppm",), (truth,), others=labels)
