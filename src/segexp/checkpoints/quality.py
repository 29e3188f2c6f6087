"""What a trained network keeps of the quality of its masks: measures and true scores of its validation cases."""

from typing import Any, TypedDict

from segexp.checkpoints.rules import maybe, number, one_of, require_fields, several, text, whole
from segexp.runs.files import write_json
from segexp.runs.folder import RunFolder

MEASURES = ("agreement", "expected_dice")
MOST_CASES = 1000  # kept of the validation cases
MOST_KEPT = 4  # calibrations of one run: with and without views, alone and in ensembles
SHARE = number(0, 1)
CALIBRATION = {
    "networks": several(text(64), 1, 100),
    "views": several(text(), 0, 16),
    "steps": text(1000),
    "measure": one_of(*MEASURES),
    "temperature": number(0.01, 100),
    "intercept": number(-1e6, 1e6),
    "slope": number(0, 1e6),
    "half_width": maybe(SHARE),
    "level": SHARE,
    "correlation": maybe(number(-1, 1)),
    "certainties": several(SHARE, 1, MOST_CASES),
    "scores": several(SHARE, 1, MOST_CASES),
    "empty": whole(0, 2**31),
}


class Calibration(TypedDict):
    """How a measure of a case, see ``segexp.inference.quality``, becomes an estimate of its Dice.

    Attributes:
        networks: SHA-256 of the weights of each network, sorted.
        views: Names of the views that were averaged beside the image as it is.
        steps: Post-processing of the masks, in words.
        measure: Name of the measure, one of ``MEASURES``.
        temperature: Temperature of the probabilities for ``expected_dice``.
        intercept: Estimate of the Dice at a certainty of 0, see ``segexp.inference.quality.certainty``.
        slope: What it rises by up to a certainty of 1.
        half_width: Half of the width of an interval about the estimate; None = too few cases for one.
        level: Fraction of the cases whose Dice such intervals cover.
        correlation: Rank correlation of certainty and Dice on the validation cases; None = undefined.
        certainties: Certainty of each validation case, ascending.
        scores: Dice of each of these, in their order.
        empty: Number of validation cases in which nothing was predicted and nothing there.
    """

    networks: list[str]
    views: list[str]
    steps: str
    measure: str
    temperature: float
    intercept: float
    slope: float
    half_width: float | None
    level: float
    correlation: float | None
    certainties: list[float]
    scores: list[float]
    empty: int


def require_calibrations(plain: Any, where: str) -> None:
    """Refuse what is no list of calibrations.

    Raises:
        ValueError: Names file, key, value and rule.
    """
    if type(plain) is not list or len(plain) > MOST_KEPT:
        raise ValueError(f"{where} must be a list of {MOST_KEPT} calibrations at most")
    for index, one in enumerate(plain, start=1):
        place = f"{where}: calibration {index}"
        require_fields(one, CALIBRATION, place)
        if len(one["certainties"]) != len(one["scores"]):
            raise ValueError(f"{place}: certainties and scores must be as many, one of each per case")


def kept_calibrations(run: RunFolder) -> list[Calibration]:
    """Read what a run keeps in quality.json; empty where it keeps none.

    Raises:
        ValueError: The file holds something else; names file and rule.
    """
    try:
        found: list[Calibration] = run.quality()
        require_calibrations(found, str(run.quality_path))
    except ValueError as error:
        raise ValueError(f"{error}; remove the file, and segexp evaluate quality=true learns it anew") from error
    return found


def keep_calibration(run: RunFolder, calibration: Calibration) -> None:
    """Keep a calibration in quality.json, the newest first; one for the same networks, views and steps makes way."""
    same = key_of(calibration)
    others = [one for one in kept_calibrations(run) if key_of(one) != same]
    write_json(run.quality_path, [calibration, *others][:MOST_KEPT])


def key_of(calibration: Calibration) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Tell what a calibration is for: networks, views and steps."""
    return tuple(calibration["networks"]), tuple(sorted(calibration["views"])), calibration["steps"]
