"""The Lovász loss against its definition and the Jaccard index of scikit-learn."""

from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import Tensor

from segexp.losses import Lovasz, lovasz_jaccard
from tests.losses.examples import draw


def jaccard_loss(truth: Tensor, wrong: Tensor) -> float:
    """1 - |T and P| / |T or P| of a set of wrong pixels; nothing on both sides is perfect."""
    predicted = truth ^ wrong
    union = int((truth | predicted).sum())
    return 1 - int((truth & predicted).sum()) / union if union else 0.0


def extension_by_all_orders(errors: Tensor, truth: Tensor) -> Tensor:
    """The Lovász extension of a submodular set function: the greatest sum over all orders of the pixels.

    In each order, a pixel is worth what it adds to the loss of the pixels before it.
    """
    sums = []
    for order in permutations(range(len(errors))):
        wrong = torch.zeros(len(errors), dtype=torch.bool)
        steps, before = [], 0.0
        for pixel in order:
            wrong[pixel] = True
            after = jaccard_loss(truth, wrong)
            steps.append(errors[pixel] * (after - before))
            before = after
        sums.append(torch.stack(steps).sum())
    return torch.stack(sums).max()


@pytest.mark.parametrize("truth", [[1, 0, 1, 0, 0, 1], [0, 0, 1, 0, 0, 0], [1] * 6, [0] * 6])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_greatest_sum_over_all_orders(truth: list[int], seed: int) -> None:
    truth = torch.tensor(truth, dtype=torch.bool)
    errors = torch.rand(6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()
    ours = lovasz_jaccard(errors, truth.double(), torch.ones(6, dtype=torch.float64))
    theirs = extension_by_all_orders(errors, truth)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, errors), torch.autograd.grad(theirs, errors))


@pytest.mark.parametrize("sizes", [(8, 9), (3, 4, 5)])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("include_background", [False, True])
def test_hard_predictions_cost_one_minus_jaccard(
    sizes: tuple[int, ...], per_image: bool, include_background: bool
) -> None:
    logits, target, _ = draw("classes", *sizes)
    logits = 1e4 * torch.nn.functional.one_hot(logits.argmax(1), 3).movedim(-1, 1).float()
    labels = [0, 1, 2] if include_background else [1, 2]
    groups = zip(target, logits.argmax(1), strict=True) if per_image else [(target, logits.argmax(1))]
    scores = []
    for true, predicted in groups:
        known = true != 255
        scores.append(jaccard_score(true[known], predicted[known], labels=labels, average="macro"))
    ours = Lovasz(per_image, True, include_background)(logits, target)
    assert ours.item() == pytest.approx(1 - np.mean(scores), rel=1e-6)


def test_hard_regions_cost_one_minus_jaccard() -> None:
    logits, target, _ = draw("regions", 8, 9, ignored=0)
    flat = [values.movedim(1, -1).reshape(-1, 3) for values in (target, (logits > 0).long())]
    ours = Lovasz()(1e4 * logits.sign(), target)
    assert ours.item() == pytest.approx(1 - jaccard_score(*flat, average="macro"), rel=1e-6)


def test_classes_absent_from_the_mask() -> None:
    logits, target, _ = draw("classes", 6, 6)
    target[target == 1] = 0
    present, every = Lovasz(True, True)(logits, target), Lovasz(True, False)(logits, target)
    counted = (target != 255).float()
    largest = (logits.softmax(1)[:, 1] * counted).amax((1, 2))
    torch.testing.assert_close(every, (present + largest.mean()) / 2)


def test_an_empty_mask() -> None:
    logits, target, _ = draw("classes", 6, 6, ignored=0)
    target.zero_()
    assert Lovasz()(logits, target) == 0
    assert not torch.autograd.grad(Lovasz()(logits, target), logits)[0].any()
    value = Lovasz(present_only=False)(logits, target)
    torch.testing.assert_close(value, logits.softmax(1)[:, 1:].amax((0, 2, 3)).mean())
    slope = torch.autograd.grad(value, logits)[0]
    assert (slope[:, 1:].sum((0, 2, 3)) > 0).all()  # a step down the slope predicts less


def test_full_and_single_pixels() -> None:
    logits = torch.tensor([[[0.3, -1.2, 2.0]]])
    full = torch.ones(1, 1, 3, dtype=torch.int64)
    torch.testing.assert_close(Lovasz()(logits, full), 1 - logits.sigmoid().mean())  # union is all, each is worth 1/3
    torch.testing.assert_close(Lovasz()(logits[..., :1], full[..., :1]), 1 - logits.sigmoid()[0, 0, 0])


@pytest.mark.parametrize("present_only", [False, True])
@pytest.mark.parametrize("absent", [False, True])
def test_a_pixel_of_weight_three_counts_as_three_pixels(present_only: bool, absent: bool) -> None:
    logits, target, _ = draw("classes", 8, ignored=0)
    if absent:
        target[target == 2] = 0
    loss = Lovasz(present_only=present_only)
    weight = torch.ones(2, 8)
    weight[:, 5] = 3
    repeated = torch.tensor([0, 1, 2, 3, 4, 5, 5, 5, 6, 7])
    torch.testing.assert_close(loss(logits, target, weight), loss(logits[..., repeated], target[..., repeated]))
    weight[:, 2] = 0
    kept = repeated[repeated != 2]
    torch.testing.assert_close(loss(logits, target, weight), loss(logits[..., kept], target[..., kept]))


def test_many_pixels_keep_their_digits() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 1, 10**6, generator=generator, dtype=torch.float64).requires_grad_()
    target = (torch.rand(1, 1, 10**6, generator=generator) < 0.3).long()
    exact = torch.autograd.grad(Lovasz()(logits, target), logits)[0]
    single = logits.detach().float().requires_grad_()
    rough = torch.autograd.grad(Lovasz()(single, target), single)[0].double()
    off = ((rough - exact).abs() / exact.abs()).flatten()
    assert off.kthvalue(999_000)[0] < 1e-4  # the rest change places in the order as the logits are rounded
