"""Weighted sums against MONAI's sum, and the kinds of target that the parts take."""

import pytest
import torch
from hydra.utils import instantiate
from monai.losses import DiceCELoss, DiceLoss
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from segexp.config import compose
from segexp.losses import BinaryCrossEntropy, Boundary, Compound, CrossEntropy, Dice, Lovasz
from tests.losses.examples import MASKS, assert_same_value_and_gradient, degenerate, draw


def configured(*overrides: str) -> nn.Module:
    """The loss that a command line gives."""
    return instantiate(OmegaConf.to_container(compose(list(overrides)).loss, resolve=True), _convert_="all")


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("class_weights", [None, [0.5, 1.0, 3.0]])
def test_dice_and_cross_entropy_equal_monai(mask: str, class_weights: list[float] | None) -> None:
    logits, target, _ = draw("classes", 6, 5, ignored=0)
    target = degenerate(target, mask)
    settings = {"smooth_nr": 0.1, "smooth_dr": 0.1, "squared_pred": True, "batch": True, "label_smoothing": 0.2}
    monai = DiceCELoss(to_onehot_y=True, softmax=True, lambda_dice=0.25, lambda_ce=3.0, **settings)
    if class_weights is not None:
        monai.cross_entropy.weight = torch.tensor(class_weights)  # of the cross-entropy alone
    parts = {"dice": Dice(True, 0.1, True, True), "ce": CrossEntropy(class_weights, 0.2)}
    ours = Compound({"dice": 0.25, "ce": 3.0}, parts)(logits, target)
    assert_same_value_and_gradient(ours, monai(logits, target.unsqueeze(1)), logits)


def test_dice_ce_of_the_configuration_equals_monai() -> None:
    logits, target, _ = draw("classes", 6, 5, ignored=0)
    monai = DiceCELoss(False, to_onehot_y=True, softmax=True, smooth_nr=1.0, smooth_dr=1.0)
    monai.cross_entropy = nn.CrossEntropyLoss()
    assert_same_value_and_gradient(
        configured("loss=dice_ce")(logits, target), monai(logits, target.unsqueeze(1)), logits
    )


def test_dice_bce_of_the_configuration_equals_monai_and_torch() -> None:
    logits, target, _ = draw("regions", 6, 5, ignored=0)
    truth = target.float()
    dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)(logits, truth)
    theirs = dice + binary_cross_entropy_with_logits(logits, truth)
    assert_same_value_and_gradient(configured("loss=dice_bce")(logits, target), theirs, logits)


def test_terms_and_parts_are_set_on_the_command_line() -> None:
    loss = configured("loss=compound", "loss.terms.ce=1", "loss.terms.dice=0.5", "loss.parts.dice.batch=true")
    assert loss.terms == {"ce": 1, "dice": 0.5}
    assert loss.parts["dice"].batch
    logits, target, weight = draw("classes", 6, 5)
    expected = CrossEntropy()(logits, target, weight) + 0.5 * Dice(batch=True)(logits, target, weight)
    torch.testing.assert_close(loss(logits, target, weight), expected)


def test_the_compound_of_the_configuration_offers_every_part_as_its_own_file_has_it() -> None:
    offered = OmegaConf.to_container(compose(["loss=compound", "loss.terms.ce=1"]).loss)
    assert offered["terms"].keys() == offered["parts"].keys()
    for name, part in offered["parts"].items():
        assert part == OmegaConf.to_container(compose([f"loss={name}"]).loss)


def test_with_terms_gives_the_unweighted_terms_and_forward_their_sum() -> None:
    logits, target, weight = draw("classes", 6, 5)
    loss = Compound({"dice": 2, "ce": 3}, {"dice": Dice(), "ce": CrossEntropy()})
    total, each = loss.with_terms(logits, target, weight)
    torch.testing.assert_close(each["dice"], Dice()(logits, target, weight))
    torch.testing.assert_close(each["ce"], CrossEntropy()(logits, target, weight))
    torch.testing.assert_close(loss(logits, target, weight), 2 * each["dice"] + 3 * each["ce"])
    assert torch.equal(total, loss(logits, target, weight))


def test_a_term_of_weight_zero_is_not_computed() -> None:
    class Refuses(nn.Module):
        target_kinds = ("classes",)

        def forward(self, *_: Tensor) -> Tensor:
            raise AssertionError

    logits, target, weight = draw("classes", 6, 5)
    loss = Compound({"ce": 1, "other": 0.0}, {"ce": CrossEntropy(), "other": Refuses(), "third": Refuses()})
    assert list(loss.with_terms(logits, target, weight)[1]) == ["ce"]
    with pytest.raises(AssertionError):
        Compound({"ce": 1, "other": 0.1}, {"ce": CrossEntropy(), "other": Refuses()})(logits, target, weight)


def test_takes_what_all_active_parts_take() -> None:
    parts = {"dice": Dice(), "ce": CrossEntropy(), "bce": BinaryCrossEntropy(), "lovasz": Lovasz()}
    assert Compound({"dice": 1, "lovasz": 1}, parts).target_kinds == ("classes", "regions")
    assert Compound({"dice": 1, "ce": 1, "bce": 0}, parts).target_kinds == ("classes",)
    assert Compound({"dice": 1, "bce": 1}, parts).target_kinds == ("regions",)
    inner = Compound({"dice": 1, "bce": 1}, parts)
    assert Compound({"inner": 1, "lovasz": 1}, {"inner": inner, "lovasz": Lovasz()}).target_kinds == ("regions",)


def test_parts_move_with_the_loss() -> None:
    loss = Compound({"ce": 1}, {"ce": CrossEntropy([1.0, 2.0])})
    assert loss.double().parts["ce"].class_weights.values.dtype == torch.float64


@pytest.mark.parametrize(
    ("terms", "parts", "sentence"),
    [
        ({"dice": -1}, {"dice": Dice()}, r"terms\.dice=-1 must be a number of at least 0"),
        ({"dice": 0}, {"dice": Dice()}, "terms=.* one at least above 0, such as terms.ce=1"),
        ({}, {"dice": Dice()}, "terms={} must be finite, and one at least above 0"),
        ({"dice": float("inf")}, {"dice": Dice()}, "must be (a )?finite"),
        (
            {"dcie": 1},
            {"dice": Dice(), "ce": CrossEntropy()},
            r"terms\.dcie=1 is the weight of no part \(did you mean 'dice'\?\): the parts are \['dice', 'ce'\]",
        ),
        (
            {"ce": 1, "bce": 1, "boundary": 1},
            {"ce": CrossEntropy(), "bce": BinaryCrossEntropy(), "boundary": Boundary()},
            "ce takes classes, bce takes regions, boundary takes classes and regions: these cannot be summed",
        ),
        (
            {"own": 1},
            {"own": nn.CrossEntropyLoss()},
            r"parts\.own CrossEntropyLoss does not say which targets it takes",
        ),
    ],
)
def test_refuses_sums_that_cannot_be(terms: dict, parts: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Compound(terms, parts)


def test_refuses_a_part_that_gives_no_number() -> None:
    with pytest.raises(ValueError, match="parts.ce.reduction='none' gives no number to be summed"):
        Compound({"dice": 1, "ce": 1}, {"dice": Dice(), "ce": CrossEntropy(reduction="none")})
