"""The best setting by its mean over folds."""

import math

import pytest
from scipy.stats import t

from segexp.runs.folds import best_of_folds, in_words


def runs(*scores: float, metric: str = "dice", higher: bool = True) -> list:
    """One run a fold."""
    return [
        (fold, {"headline": {"metric": metric, "higher_is_better": higher}, "val": {metric: score}})
        for fold, score in enumerate(scores)
    ]


def test_the_best_mean_over_folds_is_found_with_its_interval():
    name, mean = best_of_folds({"a": runs(0.5, 0.6, 0.7), "b": runs(0.6, 0.8, 0.7)})
    assert (name, mean.folds) == ("b", 3)
    assert (mean.low, mean.high) == pytest.approx(t.interval(0.95, 2, 0.7, 0.1 / math.sqrt(3)))
    assert "0.7000, with b; 95 % interval 0.4516 to 0.9484" in in_words(name, mean, 2)
    assert "optimistically biased" in in_words(name, mean, 2)
    assert "optimistically" not in in_words(name, mean, 1)
    lower = {"a": runs(3, 4, metric="hd95_mm", higher=False), "b": runs(5, 4, metric="hd95_mm", higher=False)}
    assert best_of_folds(lower)[0] == "a"


def test_seeds_of_a_fold_are_averaged_and_a_setting_that_lacks_a_fold_is_not_chosen():
    seeds = [*runs(0.2, 0.4), *runs(0.4, 0.6)]
    assert best_of_folds({"a": seeds, "b": runs(0.9)})[1].value == pytest.approx(0.4)
    undefined = [(0, {"headline": {"metric": "dice"}, "val": {"dice": None}}), *runs(0.5, 0.5)[1:]]
    assert best_of_folds({"a": undefined}) is None
    assert best_of_folds({"a": runs(0.9)}) is None
    assert best_of_folds({"a": [(None, {}), (None, {})]}) is None
    assert best_of_folds({"a": runs(0.5, 0.5), "b": runs(0.5, 0.5, metric="iou")}) is None
