"""What makes a mean uncertain: the draw of cases, the randomness of training, the training sets of the folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from segexp.comparison.statistics.scores import Array, Scores


@dataclass(frozen=True)
class Part:
    """One part of the variance of a mean.

    Args:
        variance: Variance of the mean, in squared units of the score.
        df: Degrees of freedom that it was estimated with.
        source: Source of the variance: the draw of cases, training randomness of runs, what a seed does to all folds
            alike, or the training sets of the folds.
    """

    variance: float
    df: float
    source: Literal["cases", "runs", "seeds", "folds"]

    def quantile(self, fraction: float) -> float:
        """Quantile of Student's t with these degrees of freedom."""
        return float(stdtrit(self.df, fraction))


@dataclass(frozen=True)
class _Training:
    """Variance between the runs of one experiment.

    Args:
        one_run: Variance of the mean of one run, around the mean over runs of that fold.
        df: Its degrees of freedom; 0 if no fold has two runs.
        factor: Variance of the experiment's mean if that of one run is 1.
        seed: Part that the same seed adds in all folds alike.
    """

    one_run: float
    df: int
    factor: float
    seed: Part | None


def case_part(differences: Array, folds: NDArray[np.intp]) -> Part:
    """Variance of a mean over cases, estimated within folds."""
    count, means, _ = _by_fold(differences, folds)
    df = len(differences) - len(count)
    return Part(float(((differences - means[folds]) ** 2).sum()) / df / len(differences), df, "cases")


def fold_part(differences: Array, folds: NDArray[np.intp]) -> Part:
    """Variance of a mean over cases, estimated from the means of the folds."""
    count, means, mean = _by_fold(differences, folds)
    fraction = count / count.sum()
    df = len(count) - 1
    return Part(float((fraction**2 * (means - mean) ** 2).sum()) * len(count) / df, df, "folds")


def training_parts(tables: Sequence[Scores], weights: Array) -> list[Part]:
    """Parts of the variance of a weighted sum of experiments that training randomness makes.

    An experiment without two runs of a fold is given the pooled variance of the others.

    Returns:
        Nothing if no experiment has two runs of a fold.
    """
    trainings = [_training(table) for table in tables]
    known = [training for training in trainings if training.df]
    if not known:
        return []
    factors = np.array([training.factor for training in trainings]) * weights**2
    if len(known) == len(trainings):
        runs = [Part(f * own.one_run, own.df, "runs") for f, own in zip(factors, trainings, strict=True)]
    else:
        df = sum(training.df for training in known)
        pooled = sum(training.df * training.one_run for training in known) / df
        runs = [Part(float(factors.sum()) * pooled, df, "runs")]
    seeds = [
        Part(weight**2 * own.seed.variance, own.seed.df, "seeds")
        for weight, own in zip(weights, trainings, strict=True)
        if own.seed
    ]
    return [_sum_of(parts) for parts in (runs, seeds) if parts]


def _sum_of(parts: Sequence[Part]) -> Part:
    """Sum of independent parts with the degrees of freedom of Welch and Satterthwaite."""
    variances = np.array([part.variance for part in parts])
    df = np.array([part.df for part in parts])
    total = float(variances.sum())
    joint = total**2 / float((variances**2 / df).sum()) if total else float(df.sum())
    return Part(total, joint, parts[0].source)


def _training(table: Scores) -> _Training:
    """Estimate the variance between runs.

    The raw variance R holds per-case noise E that the case part holds already. It is discounted to R²/(R + E), not to
    max(0, R - E): the latter is 0 too often, and its intervals cover too little.
    """
    # Scores around the mean of their case, averaged per run and fold, around the mean of the fold's runs.
    member = np.eye(table.fold_count)[table.folds]
    size = member.sum(0) / len(member)
    defined = ~np.isnan(table.values)
    around = np.where(defined, table.values - table.case_means, 0.0)
    counts = defined @ member
    present = counts > 0
    runs = np.divide(around @ member, counts, out=np.zeros(counts.shape), where=present)
    runs = np.where(present, runs - runs.sum(0) / present.sum(0), 0.0)
    # Without two runs of a fold there is no variance to estimate.
    factor = float((size**2 / present.sum(0)).sum())
    df = int((present.sum(0) - 1).sum())
    if not df:
        return _Training(0.0, 0, factor, None)
    raw = float((runs**2).sum()) / df
    # The noise that averaging over cases leaves in the mean of a run.
    noise_df = int(defined.sum()) - len(member) - df
    noise = float(((around - np.where(defined, runs @ member.T, 0.0)) ** 2).sum()) / max(noise_df, 1)
    noise *= float((1 / defined.sum(0)).sum()) / len(member) ** 2 / factor
    one_run = raw**2 / (raw + noise) if raw else 0.0
    # What the means of whole seeds vary more than independent runs would.
    means = runs[present.all(1)] @ size
    if len(size) == 1 or len(means) < 2:
        return _Training(one_run, df, factor, None)
    excess = float(means.var(ddof=1)) / len(means) - raw * factor
    return _Training(one_run, df, factor, Part(max(0.0, excess), len(means) - 1, "seeds"))


def _by_fold(values: Array, folds: NDArray[np.intp]) -> tuple[Array, Array, float]:
    """Count and mean per fold, and the mean over cases."""
    count = np.bincount(folds).astype(float)
    return count, np.bincount(folds, values) / count, float(values.mean())
