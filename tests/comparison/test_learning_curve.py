"""Curves of runs as `segexp train` leaves them."""

import json
import math

import numpy as np
import pytest

from segexp.comparison.learning_curve import learning_curves
from segexp.runs.runs import find_runs
from tests.comparison.small_runs import leave

SIZES = {0.1: 20, 0.2: 40, 0.4: 80, 0.7: 140, 1: 200}


def write_curve(folder, loss="ce", seeds=(0, 1, 2), a=0.9, b=1.0, c=0.5, sizes=SIZES, noise=0.004, train_seed=None):
    """Write a run per fraction and seed: two classes, 30 cases, scores along a law."""
    rng = np.random.default_rng(1)
    cases = rng.normal(0, 0.03, (2, 30))
    for fraction, size in sizes.items():
        for seed in seeds:
            run = folder / f"{loss}_{fraction}_{seed}"
            values = a - b * size**-c + cases + rng.normal(0, noise, (2, 30)) + rng.normal(0, noise)
            scores = {name: {f"case {n:02d}": float(values[k, n]) for n in range(30)} for k, name in enumerate("xy")}
            leave(run, loss, seed, scores)
            record, results = (json.loads((run / name).read_text()) for name in ("run.json", "results.json"))
            record["config"]["data"]["split"] |= {
                "train_fraction": fraction,
                "train_seed": train_seed and train_seed(seed),
            }
            results["cases"]["train"] = [f"train {n}" for n in range(size)]
            (run / "run.json").write_text(json.dumps(record))
            (run / "results.json").write_text(json.dumps(results))
    return folder


def curves_of(folder, **options):
    return learning_curves(find_runs([str(folder)]), **options)


def test_runs_of_five_fractions_make_a_curve(tmp_path):
    found = curves_of(write_curve(tmp_path))
    (curve,) = found.curves
    assert (found.metric, found.better, found.unit) == ("dice", "higher", "fraction")
    assert [(point.fraction, point.cases) for point in curve.points] == list(SIZES.items())
    assert {(point.runs, point.seeds) for point in curve.points} == {(3, 3)}
    assert curve.points[0].interval.value == pytest.approx(0.9 - 20**-0.5, abs=0.02)
    half, twice = curve.expected
    assert (half.cases, twice.cases) == (300, 400)
    assert twice.score.low < 0.9 - 400**-0.5 < twice.score.high
    assert twice.gain.low <= 200**-0.5 - 400**-0.5 <= twice.gain.high
    assert 0 < half.gain.value < twice.gain.value


def test_a_class_has_a_curve_of_its_own(tmp_path):
    write_curve(tmp_path)
    (own,), (mean,) = curves_of(tmp_path, label="x").curves, curves_of(tmp_path).curves
    assert own.points[0].interval.value != mean.points[0].interval.value
    with pytest.raises(ValueError, match="--class"):
        curves_of(tmp_path, label="z")
    with pytest.raises(ValueError, match="--metric"):
        curves_of(tmp_path, metric="iou")


def test_each_other_setting_makes_its_own_curve(tmp_path):
    write_curve(tmp_path, "ce")
    write_curve(tmp_path, "focal", a=0.85)
    found = curves_of(tmp_path)
    assert [curve.name for curve in found.curves] == ["ce", "focal"]
    assert found.curves[0].points[-1].interval.value > found.curves[1].points[-1].interval.value


def test_a_seed_of_the_training_cases_that_follows_the_run_makes_replicates(tmp_path):
    (curve,) = curves_of(write_curve(tmp_path / "following", train_seed=lambda seed: seed)).curves
    assert {point.seeds for point in curve.points} == {3}
    other = curves_of(write_curve(tmp_path / "other", train_seed=lambda seed: 7 - seed)).curves
    assert len(other) == 3  # settings of their own


def test_what_the_data_do_not_say_is_not_said(tmp_path):
    (curve,) = curves_of(write_curve(tmp_path, b=0.0)).curves
    assert curve.law is None
    assert not curve.expected
    assert curve.refusal.startswith("no trend")


def test_one_number_of_training_cases_is_no_curve(tmp_path):
    write_curve(tmp_path, sizes={1: 200})
    with pytest.raises(ValueError, match="all runs of a setting have one number of training cases: train with -m"):
        curves_of(tmp_path)


def test_intervals_of_fractions_stay_in_their_range(tmp_path):
    (curve,) = curves_of(write_curve(tmp_path, seeds=(0, 1), a=0.5, b=0.5, noise=0.15)).curves
    assert all(0 <= point.interval.low <= point.interval.high <= 1 for point in curve.points)
    assert not math.isnan(curve.points[0].interval.low)
