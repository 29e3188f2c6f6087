import numpy as np
import pytest
import torch

from segexp.comparison.comparison import compare
from segexp.metrics import CalibrationScores
from segexp.pictures.reliability import HEADER, LEFT, LINE, SIDE, draw_reliability, pooled
from segexp.runs.runs import find_runs
from tests.comparison.synthetic_runs import Sweep, write_runs


def diagram(probs, target):
    metric = CalibrationScores(["background", "a"], bins=5)
    metric.update(torch.stack([1 - probs, probs], 1), target, torch.arange(len(probs)))
    return metric.compute().curves["reliability"]["a"]


def test_pooled_diagrams_are_the_diagram_of_all_cases():
    generator = torch.Generator().manual_seed(0)
    probs, target = torch.rand(4, 12, 9, generator=generator), torch.randint(0, 2, (4, 12, 9), generator=generator)
    probs[:3] *= 0.5  # the upper bins have pixels in one of the two alone
    whole, parts = diagram(probs, target), [diagram(probs[:3], target[:3]), diagram(probs[3:], target[3:])]
    together = pooled(parts)
    assert parts[0]["share"][4] is None
    assert {name: pytest.approx(values) for name, values in whole.items()} == together


def test_diagrams_of_other_bins_are_not_mixed():
    assert (
        pooled(
            [
                {"probability": [0.5], "share": [0.5], "pixels": [3]},
                {**dict.fromkeys(["probability", "share"], [None] * 2), "pixels": [0, 0]},
            ]
        )
        == {}
    )
    assert pooled([]) == {}


def test_a_comparison_counts_the_pixels_of_all_runs_of_an_experiment(tmp_path):
    write_runs(tmp_path, Sweep(seeds=3, classes=("a", "b")))
    content = compare(find_runs([str(tmp_path)]))
    found = content["experiments"][0]["reliability"]
    assert list(found) == ["a", "b"]
    assert found["a"]["pixels"][:5] == [3000, 1200, 600, 300, 0]
    assert found["a"]["share"][4] is None


def test_runs_without_diagrams_are_compared_all_the_same(tmp_path):
    write_runs(tmp_path, Sweep(seeds=1))
    for path in tmp_path.glob("*/results.json"):
        path.write_text(path.read_text().replace('"reliability"', '"something_else"'))
    assert compare(find_runs([str(tmp_path)]))["experiments"][0]["reliability"] == {}


def test_points_stand_where_probability_and_share_say():
    one = {"probability": [0.25, None], "share": [0.75, None], "pixels": [10.0, 0.0]}
    picture = draw_reliability({"a": one, "b": one})
    assert picture.shape[1] == 2 * (LEFT + SIDE + 8)
    for left in (LEFT, 2 * LEFT + SIDE + 8):
        assert tuple(picture[HEADER + SIDE // 4, left + SIDE // 4]) == LINE
    assert np.count_nonzero((picture == LINE).all(-1)) < 2 * 60  # and nowhere else
