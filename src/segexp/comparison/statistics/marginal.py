"""Marginal effect of a hyper-parameter: means over all other settings of a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segexp.comparison.statistics.intervals import Interval, weighted_interval
from segexp.comparison.statistics.scores import Array, Scores, shared
from segexp.comparison.statistics.variance import Part


@dataclass(frozen=True)
class Marginal:
    """One value of a hyper-parameter, averaged over the other settings.

    Args:
        value: Value of the hyper-parameter.
        mean: Mean of the experiments' means, each experiment with the same weight.
        effect: The same minus the mean over all values. What cases have in common cancels out, so this interval is the
            one to compare values by.
        experiments: Number of experiments in the mean.
        matched: Whether all values were tried with the same other settings; if not, their difference may be that of the
            other settings.
    """

    value: object
    mean: Interval
    effect: Interval
    experiments: int
    matched: bool


def marginal_effects(settings: Sequence[Mapping[str, object]], tables: Sequence[Scores], key: str) -> list[Marginal]:
    """Average the experiments of a sweep over all settings but one.

    Only those combinations of other settings count that were tried with every value; if there is none, all do. Where
    no experiment has a second seed, training randomness is taken from what value and other settings together do not
    explain by addition; interactions are in it, too.

    Args:
        settings: Settings of each experiment.
        tables: Scores of each experiment.
        key: Name of the hyper-parameter.

    Returns:
        One per value, in order of appearance; on the cases that all experiments score.

    Raises:
        ValueError: An experiment does not name the key.
    """
    missing = [dict(setting) for setting in settings if key not in setting]
    if missing:
        raise ValueError(f"setting {missing[0]} has no {key!r}: compare experiments that all name it")
    # The combinations of the other settings that were tried with every value; without any, all experiments count.
    values = list(dict.fromkeys(setting[key] for setting in settings))
    others = [tuple(sorted((name, str(v)) for name, v in item.items() if name != key)) for item in settings]
    sets = [{other for other, setting in zip(others, settings, strict=True) if setting[key] == v} for v in values]
    common = set.intersection(*sets)
    kept = [i for i, other in enumerate(others) if other in common or not common]
    # One row of weights per value: the mean of its experiments.
    chosen = shared([tables[i] for i in kept])
    rows = [np.array([settings[i][key] == value for i in kept], dtype=float) for value in values]
    rows = [row / row.sum() for row in rows]
    center = np.mean(rows, axis=0)
    residual = _residual(chosen, rows, [others[i] for i in kept]) if common else None
    return [
        Marginal(
            value,
            weighted_interval(chosen, list(row), between_runs=residual),
            weighted_interval(chosen, list(row - center), between_runs=residual),
            int(np.count_nonzero(row)),
            bool(common),
        )
        for value, row in zip(values, rows, strict=True)
    ]


def _residual(tables: Sequence[Scores], rows: Sequence[Array], others: Sequence[object]) -> Part | None:
    """Variance between experiments that a sum of two effects leaves; None with a single value or setting."""
    blocks = [np.array([other == block for other in others]) for block in dict.fromkeys(others)]
    df = (len(rows) - 1) * (len(blocks) - 1)
    if not df or not tables[0].cases:
        return None
    # Two-way analysis of variance: what the means of rows and blocks leave of each experiment's mean.
    means = np.array([table.case_means.mean() for table in tables])
    rest = means + means.mean()
    for member in (*(row > 0 for row in rows), *blocks):
        rest = rest - np.where(member, means[member].mean(), 0.0)
    return Part(float((rest**2).sum()) / df, df, "runs")
