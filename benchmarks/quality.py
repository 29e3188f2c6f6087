"""How well a run knows the quality of its masks: on held-out cases as they are, and on corrupted copies of them.

    segexp evaluate run=outputs/RUN quality=true           # what it is estimated by
    python -m benchmarks.quality outputs/RUN --bad 0.8     # prints the table
    python -m benchmarks.quality outputs/RUN --bad 0.8 --page docs/quality.md --name hippocampus

The corruptions are those of `segexp stress`. Per row: cases, true Dice, Spearman's rank correlation of the estimate and
the true Dice with a 95 % interval (bootstrap of the cases; copies of one case stay together), mean error of the
estimate, and how many bad and other masks are flagged at a rate of false alarms of 5 %. With --page the table takes the
place of the one between the markers of that name.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.tables import machine, publish
from segexp.checkpoints import open_model
from segexp.evaluation.evaluation import Evaluation
from segexp.evaluation.trained import open_trained
from segexp.prediction import Segmenter, Settings
from segexp.prediction.flags import flag_of
from segexp.prediction.quality import rank_correlation
from segexp.stress.scoring import Copies, plan_of

RESAMPLES = 2000
LEVEL = 0.95
CLEAN = "as they are"


@dataclass(frozen=True)
class Row:
    """One copy of a case: its name, what was done to it, the estimate, the true Dice, and whether it was flagged."""

    case: str
    corruption: str
    estimate: float
    dice: float
    flagged: bool


def true_dice(labels: np.ndarray, target: np.ndarray, values: Sequence[int]) -> float:
    """Mean Dice over the foreground classes that prediction or truth have; labels are those of files."""
    scores = []
    for label, value in enumerate(values[1:], start=1):
        found, true = (labels == value) & (target < 255), target == label
        if found.any() or true.any():
            scores.append(2 * (found & true).sum() / (found.sum() + true.sum()))
    return float(np.mean(scores))


def measure(run: Path, options: argparse.Namespace) -> list[Row]:
    evaluation = Evaluation([open_trained(run)], [])
    split = evaluation.open("auto")
    severities = options.severities
    plan = plan_of(evaluation.data, split, options.corruptions, severities, options.cases, seed=0)
    model = open_model(run)
    segmenter = Segmenter([model], Settings(quality=True, tta=options.tta, allow_unseen_views=True))
    assert segmenter.calibration is not None, f"segexp evaluate run={run} quality=true comes first"
    flag = flag_of(segmenter.calibration, 0.05)
    values = evaluation.data.description().label_values
    rows = []
    copies = Copies(evaluation.data, plan, plan.copies())
    for key in plan.copies():
        case = copies.copy(key).case
        maps = segmenter(case)
        assert maps.quality is not None, "quality was asked for"
        reason = flag.reason(maps.quality.measures, segmenter.calibration)
        dice = true_dice(np.asarray(maps.labels), np.asarray(case.target), values)
        rows.append(Row(key[1], key[0] if key[2] else CLEAN, float(maps.quality.dice or 0), dice, bool(reason)))
    return rows


def interval(rows: Sequence[Row]) -> tuple[float, float]:
    """95 % interval of the rank correlation: cases are drawn with all their copies."""
    by_case: dict[str, list[Row]] = {}
    for row in rows:
        by_case.setdefault(row.case, []).append(row)
    groups, rng = list(by_case.values()), np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES):
        drawn = [row for index in rng.integers(len(groups), size=len(groups)) for row in groups[index]]
        value = rank_correlation(*pairs(drawn))
        found += [] if value is None else [value]
    low, high = np.percentile(found, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def pairs(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Estimates (n,) and true Dice (n,)."""
    return np.array([row.estimate for row in rows]), np.array([row.dice for row in rows])


def line(name: str, rows: Sequence[Row], bad: float) -> str:
    estimates, dice = pairs(rows)
    correlation = rank_correlation(estimates, dice)
    low, high = interval(rows)
    told = "–" if correlation is None else f"{correlation:.2f} ({low:.2f} to {high:.2f})"
    error = float(np.abs(estimates - dice).mean())
    wrong, fine = ([row for row in rows if (row.dice < bad) == is_bad] for is_bad in (True, False))
    caught, vain = (f"{sum(row.flagged for row in part)} of {len(part)}" for part in (wrong, fine))
    return f"| {name} | {len(rows)} | {dice.mean():.3f} | {told} | {error:.3f} | {caught} | {vain} |"


def table(rows: Sequence[Row], bad: float) -> str:
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        by_name.setdefault(row.corruption, []).append(row)
    lines = ["| images | masks | true Dice | rank correlation | mean error | bad, flagged | others, flagged |"]
    lines.append("| --- | ---: | ---: | --- | ---: | ---: | ---: |")
    lines += [line(name.replace("_", " "), part, bad) for name, part in by_name.items()]
    if len(by_name) > 1:
        lines.append(line("all together", rows, bad))
    return "\n".join(lines) + "\n"


def settings_in_words(options: argparse.Namespace) -> str:
    severities = ", ".join(map(str, options.severities))
    return f"severities {severities}; bad: a Dice below {options.bad:g}; tta={options.tta}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run that knows its quality")
    parser.add_argument("--bad", type=float, default=0.7, help="Dice below which a mask is bad, 0.7")
    parser.add_argument("--cases", type=int, help="number of held-out cases; all")
    parser.add_argument("--corruptions", nargs="+", help="as of segexp stress; all that make sense")
    parser.add_argument("--severities", type=int, nargs="+", default=[1, 3, 5], help="1 3 5")
    parser.add_argument("--tta", default="none", help="as of segexp predict, none")
    parser.add_argument("--page", type=Path, help="page that the table goes into")
    parser.add_argument("--name", help="name of its markers there")
    options = parser.parse_args()
    rows = measure(options.run, options)
    text = f"{machine()}\n{settings_in_words(options)}\n\n{table(rows, options.bad)}"
    publish(f"benchmarks.quality {options.name}", text, options.page is None, options.page)


if __name__ == "__main__":
    main()
