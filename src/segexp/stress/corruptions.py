"""The table of corruptions: what each does, how its severities are declared, and corrupted copies of cases."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segexp.data.case import Case
from segexp.errors import require_choice
from segexp.stress import acquisition, appearance, geometry, measures
from segexp.stress.calibration import calibrated
from segexp.stress.scan import Image, Scan, is_photograph

SEVERITIES = (1, 2, 3, 4, 5)
PSNR, SSIM = (34.0, 30.0, 26.0, 22.0, 18.0), (0.95, 0.9, 0.8, 0.7, 0.6)  # targets of the severities
MEASURES: dict[str, tuple[Callable[[Scan, Image], float], tuple[float, ...], float]] = {
    "PSNR in dB": (measures.psnr, PSNR, 0.1),
    "SSIM": (measures.ssim, SSIM, 0.005),
}
VERSION = 1  # of what these corruptions do: results of another version are made anew

Change = Callable[[Scan, float, np.random.Generator], Image]
Move = Callable[[Case, float, np.random.Generator], Case]


@dataclass(frozen=True)
class Corruption:
    """A corruption whose strength is searched until a measure of the image reaches the target of the severity.

    Attributes:
        change: What it does.
        measure: Key of ``MEASURES``.
        highest: Largest strength that is tried.
        needs: "" = any image, "volume", "photograph" = a color image of 8 bits.
    """

    change: Change
    measure: str
    highest: float
    needs: str = ""

    def fits(self, case: Case) -> bool:
        """Whether it makes sense for a case."""
        kinds = {"": True, "volume": case.image.ndim == 4, "photograph": is_photograph(case)}
        return kinds[self.needs]

    def levels(self) -> tuple[float, ...]:
        """Declared values of the severities."""
        return MEASURES[self.measure][1]

    def copies(self, case: Case, severities: Sequence[int], stream: Sequence[int]) -> list["Corrupted"]:
        """Corrupt a case in these severities.

        Args:
            case: Case in the geometry and intensities of its files.
            severities: From 1 to 5.
            stream: Seeds of the random numbers.
        """
        scan = Scan.of(case)
        compare, targets, tolerance = MEASURES[self.measure]

        def changed(strength: float) -> np.ndarray:
            return scan.stored(self.change(scan, strength, np.random.default_rng(stream)))

        # Always for all severities, whose searches share what they find: none depends on which ones are asked for.
        found = calibrated(
            lambda strength: compare(scan, scan.seen(changed(strength))), targets, self.highest, tolerance
        )
        wanted = [found[severity - 1] for severity in severities]
        return [Corrupted(replace(case, image=changed(strength)), strength, reached) for strength, reached in wanted]


@dataclass(frozen=True)
class Movement:
    """A corruption of geometry, whose severities are values of its parameter itself.

    Attributes:
        move: What it does.
        measure: Parameter, with its unit.
        values: Of the severities.
    """

    move: Move
    measure: str
    values: tuple[float, ...]

    def fits(self, case: Case) -> bool:
        """Whether it makes sense for a case: it always does."""
        del case
        return True

    def levels(self) -> tuple[float, ...]:
        """Declared values of the severities."""
        return self.values

    def copies(self, case: Case, severities: Sequence[int], stream: Sequence[int]) -> list["Corrupted"]:
        """Corrupt a case in these severities, as ``Corruption.copies``."""
        values = [self.values[severity - 1] for severity in severities]
        return [Corrupted(self.move(case, value, np.random.default_rng(stream)), value, value) for value in values]


@dataclass(frozen=True, eq=False)
class Corrupted:
    """A corrupted copy of a case, the strength that made it, and what the declared measure then is."""

    case: Case
    strength: float
    reached: float


CORRUPTIONS: dict[str, Corruption | Movement] = {
    "bias_field": Corruption(appearance.bias_field, "PSNR in dB", 5.0),
    "ghosting": Corruption(acquisition.ghosting, "PSNR in dB", 16.0),
    "motion": Corruption(acquisition.motion, "PSNR in dB", 4.0),
    "spikes": Corruption(acquisition.spikes, "PSNR in dB", 16.0),
    "gaussian_noise": Corruption(appearance.gaussian_noise, "PSNR in dB", 2.0),
    "rician_noise": Corruption(appearance.rician_noise, "PSNR in dB", 2.0),
    "blur": Corruption(acquisition.blur, "SSIM", 16.0),
    "low_resolution": Corruption(acquisition.low_resolution, "SSIM", 31.0),
    "thick_slices": Corruption(acquisition.thick_slices, "SSIM", 31.0, "volume"),
    "gamma": Corruption(appearance.gamma, "PSNR in dB", 4.0),
    "contrast": Corruption(appearance.contrast, "PSNR in dB", 8.0),
    "brightness": Corruption(appearance.brightness, "PSNR in dB", 2.0),
    "histogram_shift": Corruption(appearance.histogram_shift, "PSNR in dB", 4.0),
    "rotation": Movement(geometry.rotation, "degrees", (5.0, 10.0, 15.0, 20.0, 30.0)),
    "scaling": Movement(geometry.scaling, "percent larger or smaller", (10.0, 20.0, 30.0, 40.0, 50.0)),
    "crop": Movement(geometry.crop, "percent of each axis cut off", (5.0, 10.0, 20.0, 30.0, 40.0)),
    "jpeg": Corruption(acquisition.jpeg, "SSIM", 99.0, "photograph"),
    "color_cast": Corruption(appearance.color_cast, "PSNR in dB", 4.0, "photograph"),
    "vignette": Corruption(appearance.vignette, "PSNR in dB", 32.0, "photograph"),
    "defocus": Corruption(acquisition.defocus, "SSIM", 24.0, "photograph"),
}


def corrupted(case: Case, name: str, severities: Sequence[int], seed: int) -> list[Corrupted]:
    """Make corrupted copies of a case: a pure function of seed, case, corruption and severity.

    All severities have the same pattern (the same noise, the same movements), in other strengths.

    Args:
        case: Case in the geometry and intensities of its files.
        name: Name of the corruption.
        severities: Integers from 1 to 5.
        seed: Seed of the stress test.

    Raises:
        ValueError: There is no such corruption, or no such severity.
    """
    require_choice("corruption", name, CORRUPTIONS)
    for severity in severities:
        require_choice("severity", severity, SEVERITIES)
    digest = hashlib.sha256(f"{name}\0{case.name}".encode()).digest()
    return CORRUPTIONS[name].copies(case, severities, [seed, int.from_bytes(digest[:8], "little")])
