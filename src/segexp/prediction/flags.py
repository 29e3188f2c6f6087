"""Which predicted masks should be looked at: a threshold with a promise about good cases."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from segexp.checkpoints.quality import Calibration
from segexp.errors import require_between
from segexp.inference.quality import Measures, certainty
from segexp.prediction.quality import estimated

CONFIDENCE = 0.95  # of the highest fraction of false alarms that is named beside the promised one
NAMES = {"agreement": "agreement", "expected_dice": "expected Dice"}


@dataclass(frozen=True)
class Flag:
    """When a mask should be looked at.

    Attributes:
        threshold: Certainty below which a mask is flagged.
        asked: Fraction of false alarms that was asked for.
        promised: Fraction that is kept: of good cases like those of validation at most so many are flagged, on average
            over sets of validation cases.
        at_most: With this very set of validation cases, the fraction that is not exceeded at ``CONFIDENCE``.
        cases: Number of good validation cases.
        empty_is_known: Whether validation had cases in which there was nothing, rightly.
    """

    threshold: float
    asked: float
    promised: float
    at_most: float
    cases: int
    empty_is_known: bool

    def reason(self, measures: Measures, calibration: Calibration) -> str:
        """Say why a mask should be looked at; "" = it need not be."""
        if not measures["predicted"]:
            return "" if self.empty_is_known else "nothing was predicted"
        found = certainty(measures, calibration["measure"])
        if found >= self.threshold:
            return ""
        return f"{NAMES[calibration['measure']]} {found:.3f} is below {self.threshold:.3f}"

    @property
    def promise(self) -> str:
        """Say what the flag promises, and whether that is what was asked for."""
        cases = f"{self.cases} good validation case{'s' if self.cases > 1 else ''}"
        kept = (
            f"of good cases like those of validation at most {self.promised:.1%} are flagged on average, "
            f"at most {self.at_most:.1%} with {CONFIDENCE:.0%} confidence ({cases})"
        )
        if self.promised <= self.asked:
            return kept
        needed = math.ceil(1 / self.asked) - 1
        return (
            f"flag.false_alarms={self.asked:g} cannot be promised: that takes {needed} good validation cases, there "
            f"are {self.cases}; what can: {kept}"
        )


def flag_of(calibration: Calibration, false_alarms: float, good: float = 0.0) -> Flag:
    """Choose the threshold of the flag: a conformal quantile of the good validation cases.

    A further case of their kind is as likely as each of them to be the least certain of all; below the k-th of n it is
    with a probability of at most k / (n + 1).

    Args:
        calibration: Validation cases.
        false_alarms: Largest fraction of good cases that may be flagged, above 0 and below 1. Where there are too few
            cases for it, the least that can be promised is: 1 / (n + 1).
        good: Dice from which on a validation case is a good one; 0 = any above 0.

    Raises:
        ValueError: An argument is out of its range, or no validation case is good.

    Source: Vovk et al. 2005 (Algorithmic Learning in a Random World); given the validation cases the rate follows a
    Beta distribution (Vovk 2012, arXiv:1209.2673).
    """
    from scipy.stats import beta

    require_between("flag.false_alarms", false_alarms, 0, 1, "it is a fraction of the good cases", open_at="both")
    require_between("flag.good", good, 0, 1, "it is a Dice")
    pairs = zip(calibration["certainties"], calibration["scores"], strict=True)
    values = sorted(value for value, score in pairs if score > 0 and score >= good)
    count = len(values)
    if not count:
        best = max(calibration["scores"])
        raise ValueError(
            f"flag.good={good:g}: no validation case has a Dice above 0 and at least that, the best has {best:.3f}: "
            "lower it, or train a better network"
        )
    # A rounding must not cost a case: 0.05 * 20 is 1.
    place = max(1, min(count, math.floor(false_alarms * (count + 1) + 1e-9)))
    at_most = float(beta.ppf(CONFIDENCE, place, count + 1 - place))
    return Flag(values[place - 1], false_alarms, place / (count + 1), at_most, count, calibration["empty"] > 0)


def quality_rows(
    measures: Mapping[str, Measures], calibration: Calibration | None, flag: Flag | None
) -> list[dict[str, str | float | None]]:
    """Rows of quality.csv, one per input by its name: estimates, measures, and what the flag says, if there is one."""
    rows: list[dict[str, str | float | None]] = []
    for name, found in sorted(measures.items()):
        row: dict[str, str | float | None] = {"input": name, **estimated(found, calibration).cells()}
        row["pixels"] = found["predicted"]
        if flag and calibration:
            reason = flag.reason(found, calibration)
            row |= {"flagged": "yes" if reason else "no", "why": reason}
        rows.append(row)
    return rows
