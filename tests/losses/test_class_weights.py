"""Weights of classes and regions against scikit-learn and counts by hand."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from segexp.losses import BinaryCrossEntropy, ClassWeights, Compound, CrossEntropy, Dice, Focal, balanced_weights
from tests.losses.examples import draw


def counts_of(target: torch.Tensor, classes: int) -> torch.Tensor:
    """Pixels inside and labeled per class."""
    known = target[target != 255]
    return torch.stack([torch.bincount(known, minlength=classes), torch.full((classes,), len(known))], 1)


def test_balanced_weights_of_classes_are_those_of_scikit_learn() -> None:
    target = torch.tensor(np.random.default_rng(0).choice([0, 1, 2, 255], 1000, p=[0.7, 0.15, 0.05, 0.1]))
    known = target[target != 255].numpy()
    theirs = compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=known)
    ours = balanced_weights(counts_of(target, 3))
    np.testing.assert_allclose(ours, theirs)
    assert float(ours[known].mean()) == pytest.approx(1)


def test_an_absent_class_gets_one_and_leaves_the_others_as_they_are() -> None:
    ours = balanced_weights(torch.tensor([[90, 100], [0, 100], [10, 100]]))
    torch.testing.assert_close(ours, torch.tensor([100 / 180, 1, 100 / 20], dtype=torch.float64))


def test_regions_with_labels_of_different_extent() -> None:
    # Frequencies 1/2 and 1/10: the rarer weighs five times as much; the mean over the pixels inside is 1.
    first, second = balanced_weights(torch.tensor([[50, 100], [20, 200]])).tolist()
    assert second == pytest.approx(5 * first)
    assert 50 * first + 20 * second == pytest.approx(70)


@pytest.mark.parametrize("kind", [CrossEntropy, Focal])
def test_auto_is_the_list_of_balanced_weights(kind: type) -> None:
    logits, target, weight = draw("classes", 6, 7)
    loss, counts = kind(class_weights="auto"), counts_of(target, 3)
    with pytest.raises(ValueError, match=r"class_weights='auto' knows no pixels yet: call class_weights.fit\(counts\)"):
        loss(logits, target, weight)
    loss.class_weights.fit(counts)
    by_hand = kind(class_weights=balanced_weights(counts).tolist())
    torch.testing.assert_close(loss(logits, target, weight), by_hand(logits, target, weight))
    assert not loss.state_dict()


def test_auto_of_regions() -> None:
    logits, target, weight = draw("regions", 6, 7)
    counts = torch.stack([(target == 1).sum((0, 2, 3)), (target != 255).sum((0, 2, 3))], 1)
    loss = BinaryCrossEntropy(region_weights="auto")
    with pytest.raises(ValueError, match="region_weights='auto' knows no pixels yet"):
        loss(logits, target)
    loss.region_weights.fit(counts)
    by_hand = BinaryCrossEntropy(region_weights=balanced_weights(counts).tolist())
    torch.testing.assert_close(loss(logits, target, weight), by_hand(logits, target, weight))


def test_what_awaits_counts_is_found_inside_a_compound() -> None:
    parts = {"ce": CrossEntropy("auto"), "focal": Focal(class_weights="auto"), "dice": Dice()}
    loss = Compound({"ce": 1, "dice": 1, "focal": 0}, parts)
    awaiting = [module for module in loss.modules() if getattr(module, "awaits_counts", False)]
    assert awaiting == [parts["ce"].class_weights]  # focal is not computed
    awaiting[0].fit(torch.tensor([[50, 70], [10, 70], [10, 70]]))
    assert not awaiting[0].awaits_counts
    assert loss(*draw("classes", 4, 4)[:2]).isfinite()


def test_weights_given_by_hand_stay() -> None:
    for given in (None, [1.0, 2.0, 3.0]):
        weights = ClassWeights("class_weights", given)
        assert not weights.awaits_counts
        weights.fit(torch.tensor([[50, 70], [10, 70], [10, 70]]))
        assert (None if weights.values is None else weights.values.tolist()) == given


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: CrossEntropy("balanced"), "class_weights='balanced' must be null, a list .* per class, or 'auto'"),
        (lambda: BinaryCrossEntropy("x"), "region_weights='x' must be null, a list .* per region, or 'auto'"),
        (lambda: CrossEntropy(class_weights=[1.0, -2.0]), r"class_weights\[1\]=-2\.0 must be a number of at least 0"),
        (lambda: CrossEntropy(class_weights=[0.0, 0]), "must be finite, and one at least above 0"),
        (lambda: Focal(class_weights=[1.0, float("inf")]), "must be (a )?finite"),
        (lambda: BinaryCrossEntropy(region_weights=[0, 0]), "region_weights=.* one at least above 0"),
        (lambda: balanced_weights(torch.tensor([1, 2])), r"counts of shape \(2,\) must be \(K, 2\)"),
        (lambda: balanced_weights(torch.tensor([[3, 2]])), "at most as many pixels inside as labeled"),
        (lambda: balanced_weights(torch.tensor([[0, 2]])), "and some inside"),
    ],
)
def test_refuses_what_cannot_be_a_weight(call: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
