"""Tables of scores for the tests."""

import numpy as np

from segexp.comparison.statistics.comparison import summarize
from segexp.comparison.statistics.scores import Scores


def table(*rows, folds=None):
    values = np.array(rows, dtype=float)
    count = values.shape[1]
    labels = np.zeros(count, dtype=int) if folds is None else np.array(folds)
    return Scores(values, tuple(f"c{i}" for i in range(count)), labels, len(rows) * len(set(labels)))


def numbers(*shape, seed=0, mean=0.8, sd=0.1):
    return np.random.default_rng(seed).normal(mean, sd, shape)


def mean_interval(scores, **options):
    return summarize(scores, **options).interval
