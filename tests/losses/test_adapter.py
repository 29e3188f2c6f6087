"""Losses of torch, of MONAI and of one's own, brought to the contract of ours."""

from functools import partial

import monai.losses
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segexp.losses import CrossEntropy, Dice
from segexp.losses.adapter import adapted
from tests.losses.examples import assert_same_value_and_gradient, draw


class ThreeArguments(nn.Module):
    """As docs/extending.md asks for, without a word on targets."""

    def forward(self, logits, target, weight=None):
        losses = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
        return (losses if weight is None else losses * weight).mean()


class Several(nn.Module):
    def forward(self, logits, target):
        return F.cross_entropy(logits, target), logits.mean()


class Named(nn.Module):
    def forward(self, logits, target):
        return {"loss": F.cross_entropy(logits, target)}


class Masked(nn.Module):
    def forward(self, logits, target, mask):
        return (F.cross_entropy(logits, target, reduction="none") * mask).mean()


TO_ONEHOT = {"to_onehot_y": True, "softmax": True, "smooth_nr": 1e-3, "smooth_dr": 1e-3}
OURS = Dice(include_background=True, smooth=1e-3)
SAME = {  # a loss of others, and one of ours of the same definition; all leave out ignored pixels or have none
    "torch": (nn.CrossEntropyLoss(), CrossEntropy(), 0.2),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.2), CrossEntropy(label_smoothing=0.2), 0.2),
    "per pixel": (nn.CrossEntropyLoss(reduction="none"), CrossEntropy(), 0.2),
    "function": (partial(F.cross_entropy, ignore_index=3), CrossEntropy(), 0),
    "function of torch": (F.cross_entropy, CrossEntropy(), 0.2),
    "three arguments": (ThreeArguments(), CrossEntropy(), 0),
    "one-hot made by it": (monai.losses.DiceLoss(**{**TO_ONEHOT, "smooth_nr": 2e-3, "smooth_dr": 2e-3}), None, 0),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("sizes", [(6, 5), (3, 4, 5)])
def test_a_loss_of_others_is_what_ours_of_the_same_definition_is(name, sizes):
    theirs, ours, ignored = SAME[name]
    logits, target, _ = draw("classes", *sizes, ignored=ignored)
    loss = adapted(theirs, 3, len(sizes), regions=False)
    expected = Dice(include_background=True, smooth=2e-3) if ours is None else ours
    assert_same_value_and_gradient(loss(logits, target), expected(logits, target), logits, rtol=1e-4)
    assert not loss.state_dict()


def test_a_loss_that_wants_one_channel_per_class_gets_it():
    logits, target, _ = draw("classes", 6, 5, ignored=0)
    theirs = monai.losses.DiceLoss(softmax=True, smooth_nr=1e-3, smooth_dr=1e-3)
    expected = Dice(include_background=True, smooth=1e-3)(logits, target)
    torch.testing.assert_close(adapted(theirs, 3, 2, regions=False)(logits, target), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_regions_go_to_losses_of_sigmoids(channels):
    logits, target, _ = draw("regions", 6, 5, channels=channels, ignored=0)
    theirs = monai.losses.DiceLoss(sigmoid=True, smooth_nr=1e-3, smooth_dr=1e-3)
    loss = adapted(theirs, channels, 2, regions=True)
    assert loss.target_kinds == ("regions",)
    torch.testing.assert_close(loss(logits, target), Dice(smooth=5e-4)(logits, target), rtol=1e-3, atol=1e-4)
    entropy = adapted(nn.BCEWithLogitsLoss(), channels, 2, regions=True)(logits, target)
    assert entropy == F.binary_cross_entropy_with_logits(logits, target.float())


def test_our_own_losses_stay_as_they_are():
    loss = Dice()
    assert adapted(loss, 3, 2, regions=False) is loss


def test_trying_a_loss_draws_no_random_number_and_leaves_it_untouched():
    class Counting(nn.Module):
        calls = 0

        def forward(self, logits, target):
            self.calls += 1
            return F.cross_entropy(F.dropout(logits, 0.01), target)

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    loss = adapted(Counting(), 3, 2, regions=False)
    assert torch.equal(torch.rand(1), expected)
    assert loss.loss.calls == 0


@pytest.mark.parametrize(
    ("loss", "regions", "sentence"),
    [
        (Several(), False, "loss Several does not go with logits .* and classes: it returns a tuple, not one tensor"),
        (Named(), False, "it returns a dict, not one tensor; wrap it in a module of a few lines"),
        (Masked(), False, "loss Masked needs mask beside logits and target"),
        (lambda logits: logits.mean(), False, "takes logits alone; it is called with logits, target"),
        (3, False, "loss int cannot be called"),
        (nn.NLLLoss(), False, "it takes the logits for probabilities: a prediction of 30 where it is true costs -30"),
        (nn.BCELoss(), True, "all elements of input should be between 0 and 1"),
        (monai.losses.DiceLoss(), False, "it takes the logits for probabilities.* settings to_onehot_y, sigmoid, soft"),
        (monai.losses.DiceLoss(), True, "it takes the logits for probabilities.* settings to_onehot_y, sigmoid, soft"),
        (monai.losses.DiceLoss(softmax=True), True, "it takes regions for classes that exclude each other"),
        (nn.CrossEntropyLoss(), True, "it takes regions for classes that exclude each other"),
        (nn.CrossEntropyLoss(torch.ones(2)), False, r"with a target \(B, \*S\): RuntimeError: weight tensor should"),
        (lambda logits, target: -F.cross_entropy(logits, target), False, "a right prediction costs .* a wrong one -30"),
        (lambda logits, target: F.cross_entropy(logits.detach(), target), False, "it has no gradient"),
    ],
)
def test_what_does_not_go_is_told_in_one_sentence(loss, regions, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        adapted(loss, 3, 2, regions)
    assert "\n" not in str(caught.value)
