"""A stress test against that of a reference run: errors relative to the errors of the reference."""

import math
from statistics import fmean

from segexp.runs.folder import RunFolder
from segexp.runs.stress import CorruptionFigures, StressResults
from segexp.stress.summary import degradation

LEAST = 1e-3  # mean loss of the reference over the severities: by less nothing is divided
SAME = ("metric", "split", "cases", "severities", "seed", "version")
ERRORS = ("corruption_error", "relative_corruption_error", "relative_degradation")


def reference_results(folder: RunFolder) -> StressResults:
    """Read the stress test of a reference run.

    Raises:
        FileNotFoundError: It has none.
        ValueError: The file is damaged.
    """
    found = folder.stress()
    if not found:
        remedy = f"run segexp stress run={folder.path} first, or give it as a further run="
        raise FileNotFoundError(f"reference={folder.path}: there is no {folder.stress_path.name}; {remedy}")
    return found


def set_against(own: StressResults, reference: StressResults, name: str) -> StressResults:
    """Add to the figures of a run those relative to a reference.

    Args:
        own: Figures of the run.
        reference: Figures of the reference.
        name: Name of the reference.

    Raises:
        ValueError: The two have not scored the same copies.
    """
    for key in SAME:
        if own[key] != reference[key]:  # type: ignore[literal-required]
            raise ValueError(
                f"reference={name} was stressed with another {key} than this run: stress both with the same split, "
                "cases, severities and seed"
            )
    shared = [corruption for corruption in own["corruptions"] if corruption in reference["corruptions"]]
    figures = dict(own["corruptions"])
    for corruption in shared:
        figures[corruption] = {**figures[corruption], **_relative(own, reference, corruption)}
    means = {}
    for key in ERRORS:
        known = [value for one in shared if (value := figures[one].get(key)) is not None]
        means[key] = fmean(known) if known else None  # type: ignore[arg-type]
    return {**own, "corruptions": figures, "overall": {**own["overall"], **means}, "reference": name}


def _relative(own: StressResults, reference: StressResults, corruption: str) -> CorruptionFigures:
    """Relative errors of one corruption.

    Source: Hendrycks & Dietterich 2019 (ImageNet-C): errors summed over the severities, and their growth over the error
        without corruption, by those of the reference; Boone et al. 2022 (ROOD-MRI): degradation.
    """
    metric = own["metric"]
    higher = own["metrics"][metric]["higher_is_better"]
    fraction = own["metrics"][metric]["unit"] == "fraction"
    curves = [_heights(each, corruption) for each in (own, reference)]
    losses = [degradation(heights, higher) for heights in curves]
    found: CorruptionFigures = {"relative_degradation": _ratio(*losses)}
    if higher and not fraction:  # there is no error without a largest score
        return {**found, "corruption_error": None, "relative_corruption_error": None}
    errors = [{severity: 1 - score if higher else score for severity, score in one.items()} for one in curves]
    means = [fmean(error for severity, error in one.items() if severity) for one in errors]
    growths = [mean - one[0] for mean, one in zip(means, errors, strict=True)]
    return {**found, "corruption_error": _ratio(*means), "relative_corruption_error": _ratio(*growths)}


def _heights(stress: StressResults, corruption: str) -> dict[int, float]:
    """Score by severity, 0 among them."""
    scores = stress["corruptions"][corruption]["scores"].get(stress["metric"], [])
    heights = [stress["clean"].get(stress["metric"]), *scores]
    numbers = [math.nan if height is None else height for height in heights]
    return dict(zip((0, *stress["severities"]), numbers, strict=True))


def _ratio(own: float, reference: float) -> float | None:
    """Quotient; None where the reference loses next to nothing, or one is undefined."""
    if math.isnan(own) or math.isnan(reference) or reference < LEAST:
        return None
    return own / reference
