"""Where along an organ the scores are high and low: tables, intervals and pictures by tenths of the slices."""

from collections.abc import Mapping, Sequence
from math import isnan

from segexp.comparison.statistics.intervals import Interval, weighted_interval
from segexp.comparison.statistics.scores import Scores
from segexp.metrics import BinScores, SplitResult
from segexp.pictures.figures import save_picture
from segexp.pictures.positions import draw_positions
from segexp.runs.files import write_table
from segexp.runs.folder import RunFolder
from segexp.runs.results import Band, ByPosition, PositionsOfClass

RESAMPLES = 2000
DIGITS = 4
TENTHS = range(1, 11)
PROTOCOL = (
    "of each case the n slices along data.geometry.slice_axis (0, the depth, of 3-D networks) that truth or prediction "
    "of the class occupy, ten bins of equal width from the first to the last, slice r = 0, 1, … in the bin of "
    "(r + 1/2) / n; scores from the pixels of a bin per case, means over the cases that are defined there, 95 % "
    "bootstrap-t intervals over cases (Student's t below 8); slices_invented: predicted and not true, slices_missed: "
    "true and not predicted, summed over cases"
)


def by_position(result: SplitResult) -> ByPosition | None:
    """Summarize the tenths over the cases, as results.json has them; None where no case is a volume."""
    if not result.bins:
        return None
    labels = dict.fromkeys(row.label for row in result.bins)
    bounded = {name for name, info in result.info.items() if info.unit == "fraction"}
    classes = {label: _of_class([row for row in result.bins if row.label == label], bounded) for label in labels}
    return {"protocol": PROTOCOL, "classes": classes}


def _of_class(rows: Sequence[BinScores], bounded: set[str]) -> PositionsOfClass:
    """Summarize one class."""
    tenths = [[row for row in rows if row.bin == place] for place in TENTHS]
    return {
        "cases": [sum(row.slices > 0 for row in tenth) for tenth in tenths],
        "slices": [sum(row.slices for row in tenth) for tenth in tenths],
        "slices_invented": [sum(row.slices_invented for row in tenth) for tenth in tenths],
        "slices_missed": [sum(row.slices_missed for row in tenth) for tenth in tenths],
        "scores": {
            name: _band([_interval([row.scores[name] for row in tenth], name in bounded) for tenth in tenths])
            for name in rows[0].scores
        },
    }


def _interval(scores: Sequence[float], bounded: bool) -> Interval:
    """Mean over cases and its interval, which does not reach beyond what a fraction can be."""
    table = Scores.of_one_run({str(place): score for place, score in enumerate(scores) if not isnan(score)})
    found = weighted_interval([table], [1.0], resamples=RESAMPLES)
    return found.in_unit("fraction") if bounded else found


def _band(intervals: Sequence[Interval]) -> Band:
    return {
        "mean": [_rounded(found.value) for found in intervals],
        "low": [_rounded(found.low) for found in intervals],
        "high": [_rounded(found.high) for found in intervals],
    }


def _rounded(value: float) -> float | None:
    return None if isnan(value) else round(value, DIGITS)


def rows_of_positions(
    splits: Mapping[str, SplitResult], names: Mapping[str, Sequence[str]]
) -> list[dict[str, str | int | float]]:
    """Gather the rows of positions.csv, one per case, class and tenth, with the names of the cases of each split."""
    return [
        {
            "split": split,
            "case": names[split][row.case],
            "class": row.label,
            "bin": row.bin,
            "slices": row.slices,
            "slices_invented": row.slices_invented,
            "slices_missed": row.slices_missed,
            **row.scores,
        }
        for split, result in splits.items()
        for row in result.bins
    ]


def write_positions(
    folder: RunFolder,
    splits: Mapping[str, SplitResult],
    names: Mapping[str, Sequence[str]],
    positions: Mapping[str, ByPosition],
    pictures: bool = True,
) -> None:
    """Write positions.csv, and figures/positions_<split>.png of the Dice; nothing where no case is a volume.

    Args:
        folder: Folder of the run or evaluation.
        splits: Scores of each split.
        names: Names of the cases of each split.
        positions: Summaries of those splits that have volumes.
        pictures: Whether to draw.
    """
    rows = rows_of_positions(splits, names)
    if rows:
        write_table(folder.positions_path, rows)
    for split, found in positions.items() if pictures else ():
        folder.figures.mkdir(parents=True, exist_ok=True)
        save_picture(folder.figures / f"positions_{split}.png", draw_positions(found["classes"]))
