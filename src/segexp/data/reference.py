"""What the training cases are like, in a few numbers, and where another case lies far outside of them.

A network sees intensities, sizes and orientations as its training had them; what is far outside is predicted without
an error, and wrongly. The thresholds were chosen on real data sets, so that their held-out cases stay quiet: see
docs/predict.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from segexp.data.case import Case
from segexp.data.description import Reference
from segexp.data.intensity.scaling import is_gray, strided
from segexp.errors import times

PERCENTILES = (0.5, 50.0, 99.5)  # of the intensities of a channel
SAMPLE = 200_000  # pixels of a channel that they are taken from, at most
WIDTH_FOLD = 4.0  # of the range of intensities, beyond the narrowest and the widest of the training
OFFSET = 0.5  # of a percentile, beyond those of the training, as a fraction of the widest range
SIZE_FOLD = 4.0  # of the pixels along an axis, beyond the least and the most of the training
SPACING_FOLD = 2.0  # of the size of a pixel, likewise
TILT = 20.0  # degrees between the axes of a volume and those of the world, beyond the most of the training


@dataclass(frozen=True)
class Deviation:
    """Something in which a case is far from what the training saw.

    Attributes:
        rule: Rule in one or two words, such as "intensities".
        sentence: Sentence with both numbers, without the name of the case.
    """

    rule: str
    sentence: str


def reference_of(cases: Sequence[Case], known: Sequence[np.ndarray] | None = None) -> Reference:
    """Measure the training cases, one at least, each at its own spacing, its slices first.

    Args:
        cases: Training cases.
        known: ``levels_of`` each of them; None = measured here.
    """
    levels = np.array(known or [levels_of(case) for case in cases])  # (cases, C, percentiles)
    widths = levels[..., -1] - levels[..., 0]
    axes = min(len(case.spacing) for case in cases)
    sizes = np.array([case.image.shape[-axes:] for case in cases])
    spacings = np.array([case.spacing[-axes:] for case in cases])
    orders = {_descending(level) for level in levels}
    return Reference(
        cases=len(cases),
        least=levels.min(0).tolist(),
        most=levels.max(0).tolist(),
        narrowest=widths.min(0).tolist(),
        widest=widths.max(0).tolist(),
        least_size=sizes.min(0).tolist(),
        most_size=sizes.max(0).tolist(),
        unit="mm" if all(case.spacing_unit == "mm" for case in cases) else "px",
        least_spacing=spacings.min(0).tolist(),
        most_spacing=spacings.max(0).tolist(),
        colored=not any(is_gray(case.image) for case in cases),
        descending=list(orders.pop()) if len(orders) == 1 else [],
        orientations=sorted({case.orientation for case in cases if case.orientation}),
        tilt=max(_tilt(case) for case in cases),
    )


def deviations(case: Case, reference: Reference | None) -> list[Deviation]:
    """Tell in what a case lies far outside of the training cases; nothing where they were not measured.

    The case has as many channels as those of the training, and its slices first, too.
    """
    if reference is None or len(reference["widest"]) != len(case.image):
        return []
    found = [_intensities(case, reference), _channels(case, reference), _spacing(case, reference)]
    found += [_size(case, reference), _orientation(case, reference)]
    return [one for one in found if one is not None]


def _intensities(case: Case, reference: Reference) -> Deviation | None:
    """Ranges of another scale, or levels of another offset; the first channel of which that is so."""
    for channel, levels in enumerate(levels_of(case)):
        if not np.isfinite(levels).all():
            continue  # refused elsewhere
        least, most = np.array(reference["least"][channel]), np.array(reference["most"][channel])
        narrowest, widest = reference["narrowest"][channel], reference["widest"][channel]
        width = levels[-1] - levels[0]
        beyond = float(np.maximum(least - levels, levels - most).max())
        if not narrowest / WIDTH_FOLD <= width <= widest * WIDTH_FOLD or beyond > OFFSET * widest:
            which = f" of channel {channel}" if len(case.image) > 1 else ""
            return Deviation(
                "intensities",
                f"intensities{which} lie from {levels[0]:.6g} to {levels[-1]:.6g} ({PERCENTILES[0]:g}th to "
                f"{PERCENTILES[-1]:g}th percentile), in training from {least[0]:.6g} to {most[-1]:.6g}, "
                f"{narrowest:.4g} apart at least: bring the file to the scale of the training's",
            )
    return None


def _channels(case: Case, reference: Reference) -> Deviation | None:
    """Gray where the training had color, or channels in another order."""
    if len(case.image) == 1:
        return None
    if reference["colored"] and is_gray(case.image):
        return Deviation(
            "channels",
            f"all {len(case.image)} channels are equal, those of all {reference['cases']} training cases differ: give "
            "the image in color",
        )
    found, usual = _descending(levels_of(case)), tuple(reference["descending"])
    # That a few cases are alike may be chance.
    if usual and reference["cases"] >= 4 * len(usual) and found == usual[::-1]:
        return Deviation(
            "channels",
            f"channels are, from bright to dark, {list(found)}, in all {reference['cases']} training cases "
            f"{list(usual)}: check their order (RGB or BGR)",
        )
    return None


def _spacing(case: Case, reference: Reference) -> Deviation | None:
    """Pixels of another size, where both tell it."""
    if reference["unit"] != "mm" or case.spacing_unit != "mm":
        return None
    spacing, least, most = _last(case.spacing, reference["least_spacing"], reference["most_spacing"])
    if not _far(spacing, least, most, SPACING_FOLD):
        return None
    return Deviation(
        "spacing",
        f"a pixel measures {times(spacing)} mm, in training {_between(least, most)} mm: check the header, or train "
        "with data.geometry.spacing",
    )


def _size(case: Case, reference: Reference) -> Deviation | None:
    """Far fewer or more pixels along an axis."""
    size, least, most = _last(case.image.shape[1:], reference["least_size"], reference["most_size"])
    if not _far(size, least, most, SIZE_FOLD):
        return None
    return Deviation(
        "size",
        f"it has {times(size)} pixels, in training {_between(least, most)}: check that structures are as large in "
        "pixels as there",
    )


def _orientation(case: Case, reference: Reference) -> Deviation | None:
    """A volume that does not tell how it lies where the training's did, or that lies far more askew."""
    known = reference["orientations"]
    if case.image.ndim < 4 or not known or not case.files:  # an array lies as the training's by contract
        return None
    if not case.orientation:
        return Deviation(
            "orientation",
            f"it does not tell how it lies, in training files told {', '.join(known)}: give NIfTI, NRRD or DICOM",
        )
    tilt = _tilt(case)
    if tilt <= reference["tilt"] + TILT:
        return None
    return Deviation(
        "orientation",
        f"its axes are {tilt:.0f} degrees off those of the body, in training {reference['tilt']:.0f} at most: resample "
        "it along them",
    )


def levels_of(case: Case) -> np.ndarray:
    """Percentiles (C, 3) float64 of each channel, over the field of view where there is one."""
    values = (channel if case.valid is None else channel[case.valid] for channel in case.image)
    return np.array([np.percentile(strided(each, SAMPLE), PERCENTILES) for each in values], np.float64)


def _descending(levels: np.ndarray) -> tuple[int, ...]:
    """Channels by their medians, the brightest first; none where two are equal, or there is one."""
    medians = levels[:, 1]
    order = tuple(int(channel) for channel in np.argsort(-medians, kind="stable"))
    return order if len(order) > 1 and all(medians[one] > medians[two] for one, two in pairwise(order)) else ()


def _tilt(case: Case) -> float:
    """Largest angle in degrees between an axis of a volume and the axis of the world that is nearest to it."""
    if case.affine is None:
        return 0.0
    columns = case.affine[:3, :3] / np.linalg.norm(case.affine[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(np.abs(columns).max(0), 0, 1))).max())


def _last(
    values: Sequence[float], least: Sequence[float], most: Sequence[float]
) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    """Bring lists per axis to the last axes that they have in common."""
    axes = min(len(values), len(least))
    return values[-axes:], least[-axes:], most[-axes:]


def _far(values: Sequence[float], least: Sequence[float], most: Sequence[float], fold: float) -> bool:
    return any(
        not low / fold <= value <= high * fold
        for value, low, high in zip(values, least, most, strict=True)
        if math.isfinite(value)
    )


def _between(least: Sequence[float], most: Sequence[float]) -> str:
    return times(least) if list(least) == list(most) else f"{times(least)} to {times(most)}"
