import math

import numpy as np
import pytest

from segexp.metrics import CaseScores, summarize, undefined


def row(case, name, **metrics):
    return CaseScores(case, name, metrics)


def test_classes_weigh_the_same_even_where_one_is_often_undefined():
    rows = [row(0, "cup", dice=1.0), row(1, "cup", dice=0.5), row(0, "disc", dice=math.nan), row(1, "disc", dice=0.25)]
    assert summarize(rows) == {"dice": 0.5, "dice_cup": 0.75, "dice_disc": 0.25}
    assert undefined(rows) == {"dice_cup": 0, "dice_disc": 1}


def test_a_class_that_is_never_defined_is_left_out_of_the_headline():
    rows = [row(0, "cup", dice=0.5), row(0, "disc", dice=math.nan)]
    assert summarize(rows) == pytest.approx({"dice": 0.5, "dice_cup": 0.5, "dice_disc": math.nan}, nan_ok=True)


def test_nothing_defined_gives_nan():
    assert summarize([row(0, "cup", dice=math.nan)]) == pytest.approx(
        {"dice": math.nan, "dice_cup": math.nan}, nan_ok=True
    )


def test_no_rows_give_no_figures():
    assert summarize([]) == {}
    assert undefined([]) == {}


def test_rows_of_two_metrics_may_be_put_together():
    rows = [row(0, "cup", dice=0.5), row(0, "regions", v_rand=0.9)]
    assert summarize(rows) == {"dice": 0.5, "dice_cup": 0.5, "v_rand": 0.9, "v_rand_regions": 0.9}
    assert list(summarize(rows)) == ["dice", "dice_cup", "v_rand", "v_rand_regions"]


def test_agrees_with_numpy():
    values = np.random.default_rng(0).random((6, 3, 2))
    values[values < 0.3] = np.nan
    rows = [row(c, f"k{k}", dice=values[c, k, 0], iou=values[c, k, 1]) for c in range(6) for k in range(3)]
    found, per_class = summarize(rows), np.nanmean(values, axis=0)
    assert [found["dice"], found["iou"]] == pytest.approx(per_class.mean(axis=0).tolist())
    assert [found[f"iou_k{k}"] for k in range(3)] == pytest.approx(per_class[:, 1].tolist())
    assert [undefined(rows)[f"dice_k{k}"] for k in range(3)] == np.isnan(values[:, :, 0]).sum(axis=0).tolist()
