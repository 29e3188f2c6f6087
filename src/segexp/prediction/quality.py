"""How good a predicted mask is likely to be, and whether it should be looked at: no truth but that of validation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segexp.checkpoints.checkpoint import Model, hash_weights
from segexp.checkpoints.quality import MOST_CASES, Calibration, key_of
from segexp.inference.quality import Measures, certainty
from segexp.inference.views import View
from segexp.postprocessing.postprocess import Steps, in_words

LEVEL = 0.9  # of the interval about an estimate
LEAST_CASES = 3  # for a line


@dataclass(frozen=True)
class Quality:
    """What a prediction tells of its own quality.

    Attributes:
        measures: Measures of the case.
        dice: Estimated Dice after post-processing, averaged over the classes; None = no calibration.
        low: Lower end of its interval, see ``LEVEL``; None = none.
        high: Upper end.
    """

    measures: Measures
    dice: float | None = None
    low: float | None = None
    high: float | None = None

    def cells(self) -> dict[str, float | None]:
        """Cells of a case in a table."""
        return {
            "estimated_dice": self.dice,
            "estimated_low": self.low,
            "estimated_high": self.high,
            "expected_dice": self.measures["expected_dice"],
            "agreement": self.measures["agreement"],
            "mask_entropy": self.measures["entropy"],
        }


def estimated(measures: Measures, calibration: Calibration | None) -> Quality:
    """Estimate the Dice of a mask, with an interval, from its measures."""
    if calibration is None:
        return Quality(measures)
    value = certainty(measures, calibration["measure"])
    dice = _clipped(calibration["intercept"] + calibration["slope"] * value) if measures["predicted"] else 0.0
    half = calibration["half_width"]
    if half is None:
        return Quality(measures, dice)
    return Quality(measures, dice, _clipped(dice - half), _clipped(dice + half))


def fit(
    cases: Sequence[Measures],
    scores: Sequence[float],
    networks: Sequence[str],
    views: Sequence[str],
    steps: Steps,
    temperature: float = 1.0,
) -> Calibration:
    """Fit the line from a measure to the Dice on validation cases.

    The line rises, or is level. Its interval is that of the jackknife: the distances of the cases to lines that were
    fitted without them.

    Args:
        cases: Measures of each validation case.
        scores: Dice of each, averaged over the classes that are defined in it; nan where none is.
        networks: SHA-256 of the weights of each network.
        views: Names of the views that were averaged beside the image as it is.
        steps: Post-processing of the masks that were scored.
        temperature: Temperature of the probabilities for ``expected_dice``.

    Raises:
        ValueError: Fewer than ``LEAST_CASES`` cases have a score.

    Source: Barber et al. 2021 (arXiv:1905.02928), jackknife.
    """
    scored = [(one, score) for one, score in zip(cases, scores, strict=True) if math.isfinite(score)]
    if len(scored) < LEAST_CASES:
        raise ValueError(
            f"quality=true needs {LEAST_CASES} validation cases with a Dice at least, there are {len(scored)}: train "
            "with more, data.split.val=0.2"
        )
    truth = np.array([score for _, score in scored])
    measure = measure_of(scored[0][0])
    x = np.array([certainty(one, measure) for one, _ in scored])
    intercept, slope = rising_line(x, truth)
    kept = np.argsort(x, kind="stable")
    kept = kept[np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_CASES)).round().astype(int))]
    return Calibration(
        networks=sorted(networks),
        views=sorted(views),
        steps=in_words(steps),
        measure=measure,
        temperature=temperature,
        intercept=intercept,
        slope=slope,
        half_width=_half_width(x, truth),
        level=LEVEL,
        correlation=rank_correlation(x, truth),
        certainties=x[kept].tolist(),
        scores=truth[kept].tolist(),
        empty=sum(not one["predicted"] and not math.isfinite(score) for one, score in zip(cases, scores, strict=True)),
    )


def measure_of(measures: Measures) -> str:
    """Name the measure that estimates: the agreement where there are several networks or views."""
    return "expected_dice" if measures["agreement"] is None else "agreement"


def rising_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Fit y by a line in x (n,) that does not fall, by least squares: its intercept and slope."""
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0 else 0.0
    slope = max(0.0, slope)
    return float(y.mean() - slope * x.mean()), slope


def _half_width(x: np.ndarray, y: np.ndarray) -> float | None:
    """Distance to lines fitted without a case that ``LEVEL`` of further cases do not exceed; None = too few cases."""
    count = len(x)
    place = math.ceil(LEVEL * (count + 1))
    if place > count:
        return None
    others = ~np.eye(count, dtype=bool)
    lines = [rising_line(x[keep], y[keep]) for keep in others]
    distances = sorted(abs(y[i] - _clipped(lines[i][0] + lines[i][1] * x[i])) for i in range(count))
    return float(min(1.0, distances[place - 1]))


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Spearman's rank correlation of x and y (n,); None where one of them is constant, or n is below 3."""
    from scipy.stats import spearmanr

    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.clip(spearmanr(x, y).statistic, -1, 1))


def correlation_interval(correlation: float | None, cases: int, level: float = 0.95) -> tuple[float, float] | None:
    """Interval of a rank correlation over so many cases; None with fewer than 5.

    Source: Bonett and Wright 2000 (Psychometrika 65:23-28), Fisher's z with a standard error for ranks.
    """
    from scipy.stats import norm

    if correlation is None or cases < 5:
        return None
    z = math.atanh(min(max(correlation, -1 + 1e-12), 1 - 1e-12))
    reach = float(norm.ppf((1 + level) / 2)) * math.sqrt((1 + correlation**2 / 2) / (cases - 3))
    return math.tanh(z - reach), math.tanh(z + reach)


def find_calibration(models: Sequence[Model], views: Sequence[View], steps: Steps) -> Calibration | None:
    """Find the calibration, among those that the models keep, for just these networks, views and steps."""
    kept = [one for model in models for one in model.description.quality]
    return matching(kept, [hash_weights(model.network) for model in models], views, steps) if kept else None


def require_as_trained(adapt: float) -> None:
    """Refuse to estimate the quality of masks of adapted batch norms: estimates were learned without.

    Raises:
        ValueError: The weight of a case's own statistics is not 0.
    """
    if adapt:
        raise ValueError(
            f"adapt={adapt} with an estimate of the quality of masks, which is learned for networks as trained: leave "
            "adapt at 0, or quality, flag and suggest out"
        )


def why_unknown(models: Sequence[Model], views: Sequence[View], steps: Steps) -> str:
    """Say why no calibration was found, and what to do."""
    wanted = f"{_in_words(names_of(views))} and post-processing {in_words(steps)}"
    kept = [one for model in models for one in model.description.quality]
    remedy = (
        "segexp evaluate run=<run> quality=true learns it from the validation cases, of several runs with commas "
        "together; inference=tiled averages over no views, inference=tiled_turns over flips and turns"
    )
    if not kept:
        return f"the model keeps nothing of the quality of its masks: {remedy}"
    there = "; ".join(f"{_in_words(one['views'])} and post-processing {one['steps']}" for one in kept)
    return f"the quality of masks is not known for these weights with {wanted}, only for {there}: {remedy}"


def _in_words(views: Sequence[str]) -> str:
    return f"views {', '.join(views)}" if views else "no further views"


def matching(
    kept: Sequence[Calibration], networks: Sequence[str], views: Sequence[View], steps: Steps
) -> Calibration | None:
    """Pick the first calibration that is for these networks, by the SHA-256 of their weights, views and steps."""
    wanted = tuple(sorted(networks)), tuple(names_of(views)), in_words(steps)
    return next((one for one in kept if key_of(one) == wanted), None)


def names_of(views: Sequence[View]) -> list[str]:
    """Names of views, without the image as it is, sorted."""
    return sorted(str(view) for view in views if str(view))


def _clipped(dice: float) -> float:
    return min(1.0, max(0.0, float(dice)))
