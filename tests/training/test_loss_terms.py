import pytest
import torch

from segexp.losses import Compound, CrossEntropy, Dice
from segexp.training.loss_terms import loss_with_terms, losses_of_probs

LOGITS = torch.tensor([[[[2.0, -1.0]], [[0.0, 0.5]]]])
TARGET = torch.tensor([[[0, 1]]])


def test_terms_of_a_compound_loss_have_names_and_no_weights():
    loss = Compound({"ce": 2.0, "dice": 0.5}, {"ce": CrossEntropy(), "dice": Dice()})
    total, terms = loss_with_terms(loss, LOGITS, TARGET, None)
    assert list(terms) == ["loss_ce", "loss_dice"]
    assert total == pytest.approx(2 * float(terms["loss_ce"]) + 0.5 * float(terms["loss_dice"]))
    assert loss_with_terms(CrossEntropy(), LOGITS, TARGET, None)[1] == {}


def test_the_loss_of_probabilities_is_that_of_their_logits():
    found = losses_of_probs(CrossEntropy(), LOGITS.softmax(1), TARGET, None)
    assert found["loss"] == pytest.approx(float(CrossEntropy()(LOGITS, TARGET)), rel=1e-5)


def test_refuses_a_loss_of_each_pixel():
    with pytest.raises(ValueError, match=r"CrossEntropy gives a loss of shape \(1, 1, 2\), but training"):
        loss_with_terms(CrossEntropy(reduction="none"), LOGITS, TARGET, None)
