"""The pixels on which losses of others are tried."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segexp.losses.foreign_loss import FORMS, ForeignLoss
from segexp.losses.trial import Trial
from tests.losses.examples import LOSSES, PAIRS


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@pytest.mark.parametrize("axes", [2, 3])
def test_our_own_losses_pass(name, kind, axes):
    """They make sense, and leave out the pixels that they should."""
    form = FORMS[kind]["(B, *S)" if kind == "classes" else "(B, R, *S)"]
    candidate = ForeignLoss(LOSSES[name], kind, form)
    assert Trial(3, axes, kind == "regions", weighted=True).fault_of(candidate) is None
    assert (candidate.leaves_out, candidate.ignored, candidate.takes_weight) == (True, 255, True)
    assert not candidate.per_pixel


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_a_target_is_never_spread_over_the_classes_unseen(channels):
    def differences(logits, target):
        return F.mse_loss(logits.softmax(1), target.float())

    trial = Trial(channels, 2, regions=False, weighted=False)
    faults = {
        words: trial.fault_of(ForeignLoss(differences, "classes", form)) for words, form in FORMS["classes"].items()
    }
    assert [words for words, fault in faults.items() if fault is None] == ["one-hot (B, C, *S)"]
    assert not faults["(B, 1, *S)"].taken


def test_values_per_pixel_are_told_from_others():
    for reduction, per_pixel in (("none", True), ("sum", False), ("mean", False)):
        candidate = ForeignLoss(nn.CrossEntropyLoss(reduction=reduction), "classes", FORMS["classes"]["(B, *S)"])
        assert Trial(3, 3, regions=False, weighted=False).fault_of(candidate) is None
        assert candidate.per_pixel == per_pixel


def test_all_classes_occur_and_regions_overlap():
    assert Trial(5, 2, regions=False, weighted=False).target.unique().tolist() == [0, 1, 2, 3, 4]
    counts = Trial(3, 2, regions=True, weighted=False).target.sum(1)
    assert set(counts.unique().tolist()) == {0, 1, 2, 3}
    assert torch.equal(Trial(3, 2, True, False).logits, Trial(3, 2, True, False).logits)
