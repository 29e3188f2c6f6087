"""Ignored pixels, rows and descriptions of metrics of others."""

import monai.metrics
import pytest
import torch
import torchmetrics
from torchmetrics import classification, segmentation

from tests.metrics.foreign import cases, made, ours, scores


@pytest.mark.parametrize(
    "metric",
    [
        segmentation.DiceScore(3, average="none", include_background=False),  # takes pixels in any order
        classification.MulticlassF1Score(3, average=None, ignore_index=255),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_ignored_pixels_count_nowhere(metric):
    drawn = [(probs, target.where(torch.rand(target.shape) > 0.2, 255)) for probs, target in cases()]
    found, expected = scores(made(metric), drawn), ours(drawn)
    assert found["mine_vessel"] == pytest.approx(expected["dice_vessel"], abs=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of MONAI
def test_where_a_pixel_lies_and_that_it_is_unknown_do_not_go_together():
    metric = made(monai.metrics.HausdorffDistanceMetric())
    assert not metric.leaves_out
    probs, target = cases(count=1)[0]
    metric.update(probs, target, torch.tensor([0]))
    target[0, 0, 0] = 255
    with pytest.raises(ValueError, match="HausdorffDistanceMetric counts every pixel or where it lies"):
        metric.update(probs, target, torch.tensor([1]))


def test_the_ignore_index_of_a_metric_that_needs_all_pixels_in_place_is_used():
    class Bordered(torchmetrics.Metric):
        """Fraction of right pixels, more of them in the middle."""

        ignore_index = -7
        higher_is_better = True

        def __init__(self):
            super().__init__()
            self.add_state("value", torch.zeros(()), "sum")

        def update(self, preds, target):
            rows = torch.linspace(-1, 1, target.shape[1])[:, None] ** 2
            columns = torch.linspace(-1, 1, target.shape[2]) ** 2
            weight = (3 - rows - columns) * (target != self.ignore_index)
            self.value = ((preds == target) * weight).sum() / weight.sum()

        def compute(self):
            return self.value

    metric = made(Bordered())
    assert (metric.call.pixelwise, metric.call.ignored) == (False, -7)


def test_a_case_has_a_row_per_class_and_nothing_of_it_is_part_of_a_checkpoint():
    metric = made(classification.MulticlassF1Score(3, average=None))
    for case, (probs, target) in enumerate(cases(count=2)):
        metric.update(probs, target, torch.tensor([case]))
    result = metric.compute()
    assert [(row.case, row.label, *row.scores) for row in result.rows] == [
        (0, "vessel", "mine"),
        (0, "nerve", "mine"),
        (1, "vessel", "mine"),
        (1, "nerve", "mine"),
    ]
    assert not metric.state_dict()


def test_cases_together_and_one_by_one_score_alike():
    metric = made(segmentation.MeanIoU(3, input_format="index"))
    drawn = [(probs[:, :, :9], target[:, :9]) for probs, target in cases()]
    one_by_one = scores(metric, drawn)
    metric.reset()
    probs, targets = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    metric.update(probs, targets, torch.arange(3))
    assert {row.case: row.scores["mine"] for row in metric.compute().rows}.keys() == {0, 1, 2}
    assert metric.compute().rows[0].label == "all"
    assert one_by_one["mine"] == pytest.approx(sum(row.scores["mine"] for row in metric.compute().rows) / 3)
