"""Ignored pixels and weights of losses of others."""

import monai.losses
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segexp.losses import BinaryCrossEntropy, CrossEntropy
from segexp.losses.adapter import adapted
from tests.losses.examples import draw


class Weighted(nn.Module):
    def __init__(self, ignore_index=-1):
        super().__init__()
        self.ignore_index = ignore_index
        self.register_buffer("factor", torch.ones(()))

    def forward(self, logits, target, weight=None):
        losses = F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="none")
        return (losses if weight is None else losses * weight).sum() / (target != self.ignore_index).sum() * self.factor


@pytest.mark.parametrize("loss", [Weighted(), nn.CrossEntropyLoss(reduction="none")], ids=["taken", "per pixel"])
def test_weights_go_where_they_can_be_taken(loss):
    logits, target, weight = draw("classes", 6, 5)
    value = adapted(loss, 3, 2, regions=False, weighted=True)(logits, target, weight)
    torch.testing.assert_close(value, CrossEntropy()(logits, target, weight))


def test_a_loss_per_pixel_of_regions_leaves_out_and_weighs():
    logits, target, weight = draw("regions", 6, 5)
    loss = adapted(nn.BCEWithLogitsLoss(reduction="none"), 3, 2, regions=True, weighted=True)
    torch.testing.assert_close(loss(logits, target, weight), BinaryCrossEntropy()(logits, target, weight))


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), F.cross_entropy], ids=["module", "function"])
def test_a_weight_that_is_not_taken_is_refused(loss):
    with pytest.raises(ValueError, match=r"it takes no weight per pixel: leave the weight map out \(weight_map=null\)"):
        adapted(loss, 3, 2, regions=False, weighted=True)
    logits, target, weight = draw("classes", 6, 5)
    with pytest.raises(ValueError, match=r"loss CrossEntropyLoss takes no weight per pixel"):
        adapted(nn.CrossEntropyLoss(), 3, 2, regions=False)(logits, target, weight)


@pytest.mark.parametrize(("own", "handed"), [(-100, -100), (7, 7), (255, 255)])
def test_ignored_pixels_are_handed_over_as_the_loss_takes_them(own, handed):
    loss = adapted(nn.CrossEntropyLoss(ignore_index=own), 3, 2, regions=False)
    assert (loss.leaves_out, loss.ignored) == (True, handed)


def test_a_loss_that_counts_every_pixel_refuses_targets_with_unknown_ones():
    loss = adapted(monai.losses.DiceLoss(to_onehot_y=True, softmax=True), 3, 2, regions=False)
    assert not loss.leaves_out
    logits, target, _ = draw("classes", 6, 5)
    with pytest.raises(
        ValueError, match=r"loss DiceLoss counts every pixel, but some are not labeled \(255 in the targ"
    ):
        loss(logits, target)
    assert loss(logits, target.where(target != 255, 0)).isfinite()


def test_a_setting_of_the_loss_decides_and_not_the_attribute_alone():
    """An attribute that its code does not honor is found out."""

    class Deaf(nn.Module):
        ignore_index = 255

        def forward(self, logits, target):
            return F.cross_entropy(logits, target.clamp(0, 2))

    assert not adapted(Deaf(), 3, 2, regions=False).leaves_out


def test_it_moves_with_the_task_and_is_no_part_of_a_checkpoint():
    inner = Weighted()
    loss = adapted(inner, 3, 2, regions=False)
    loss.to(torch.float64)
    assert inner.factor.dtype == torch.float64
    assert not loss.state_dict()
    assert not list(loss.parameters())


def test_half_precision_is_computed_in_float32():
    logits, target, _ = draw("classes", 6, 5)
    loss = adapted(nn.CrossEntropyLoss(), 3, 2, regions=False)
    half = logits.detach().to(torch.bfloat16)
    assert loss(half, target) == loss(half.float(), target)
