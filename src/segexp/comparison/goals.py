"""Goals that somebody set beside what runs reached.

    outputs/plans/drive dice_pooled_vessel>=0.825 roc_auc>=0.98 minutes<=20 outputs/plans/nuclei dice>=0.94

Runs come first, then what they should reach; any number of times.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import mean

from segexp.comparison.tables import Sheet
from segexp.errors import did_you_mean
from segexp.runs.runs import Run, find_runs

CONDITION = re.compile(r"([\w.]+)(>=|<=)(.*)")
MINUTES = "minutes"  # of a whole run, from the start of its record to its end


@dataclass(frozen=True)
class Goal:
    """What the mean of runs should reach; of minutes, what each of them should.

    Args:
        runs: The runs, those that have not ended well included.
        metric: Metric of results.json, or "minutes".
        at_least: Whether the value is the least that is enough; else it is the most.
        value: The value.
    """

    runs: Sequence[Run]
    metric: str
    at_least: bool
    value: float

    def reached(self) -> list[float]:
        """Value of each run that ended well.

        Raises:
            ValueError: One of them does not have the metric.
        """
        return [_value(run, self.metric) for run in self.runs if run.results]


def read_goals(words: Sequence[str]) -> list[Goal]:
    """Read goals as they stand in the head of this module.

    Raises:
        FileNotFoundError: A pattern leads to no run.
        ValueError: A goal is no comparison with a number, or stands before any runs, or runs have no goal.
    """
    goals: list[Goal] = []
    patterns: list[str] = []
    runs: list[Run] = []
    for word in words:
        condition = CONDITION.fullmatch(word)
        if condition is None:
            patterns.append(word)
            continue
        if patterns:
            runs, patterns = find_runs(patterns), []
        if not runs:
            raise ValueError(f"{word} stands before any runs: write outputs/mine {word}")
        goals.append(Goal(runs, condition[1], condition[2] == ">=", _number(condition[3], word)))
    if patterns:
        raise ValueError(f"{' '.join(patterns)}: no goal follows: write {patterns[-1]} dice>=0.8")
    return goals


def goal_sheet(goals: Sequence[Goal]) -> Sheet:
    """Table of goals and of what was reached: mean over runs; of minutes, the longest run."""
    rows = []
    for goal in goals:
        values = goal.reached()
        long = goal.metric == MINUTES
        got = (max(values) if long else mean(values)) if values else math.nan
        digits = 1 if long else 4
        rows.append(
            [
                ", ".join(sorted({run.choices.get("data") or "" for run in goal.runs})),
                goal.metric,
                f"{'≥' if goal.at_least else '≤'} {goal.value:g}",
                f"{got:.{digits}f}" if values else "",
                f"{min(values):.{digits}f} to {max(values):.{digits}f}" if values else "",
                str(len(values)) if len(values) == len(goal.runs) else f"{len(values)} of {len(goal.runs)}",
                _verdict(goal, got, digits),
            ]
        )
    heads = ["data", "metric", "goal", "reached", "lowest to highest", "runs", "is it reached?"]
    notes = ("reached: the mean of the runs; of minutes, the longest run.",)
    return Sheet("Goals", heads, rows, notes)


def _verdict(goal: Goal, got: float, digits: int) -> str:
    if math.isnan(got):
        return "not known"
    missing = goal.value - got if goal.at_least else got - goal.value
    return "yes" if missing <= 0 else f"no, by {missing:.{digits}f}"


def _number(text: str, word: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{word}: {text!r} is no number: write it as dice>=0.8") from None


def _value(run: Run, metric: str) -> float:
    if metric == MINUTES:
        start, end = (datetime.fromisoformat(str(run.record[key])) for key in ("start", "end"))
        return (end - start).total_seconds() / 60
    if metric not in run.metrics:
        known = did_you_mean(metric, [*run.metrics, MINUTES])
        raise ValueError(f"{run.files.results_path} has no metric {metric!r} of {run.split} cases{known}")
    return run.metrics[metric]
