"""clDice against MONAI, scikit-image and shapes by hand."""

import pytest
import torch
from monai.losses import SoftclDiceLoss
from monai.losses.cldice import soft_skel
from skimage.draw import disk, line
from skimage.morphology import skeletonize

from segexp.losses import ClDice, soft_skeleton
from tests.losses.examples import assert_same_value_and_gradient, draw


def monai(iterations: int, smooth: float) -> SoftclDiceLoss:
    return SoftclDiceLoss(iterations, smooth, smooth, 1e-12)  # no smoothing of the harmonic mean


@pytest.mark.parametrize("sizes", [(14, 13), (7, 8, 9)])
@pytest.mark.parametrize("iterations", [0, 1, 4])
def test_skeleton_equals_monai(sizes: tuple[int, ...], iterations: int) -> None:
    logits, _, _ = draw("regions", *sizes)
    probs = logits.sigmoid()
    torch.testing.assert_close(soft_skeleton(probs, iterations), soft_skel(probs, iterations))


@pytest.mark.parametrize("sizes", [(14, 13), (7, 8, 9)])
@pytest.mark.parametrize("mask", ["random", "empty", "full", "tube"])
@pytest.mark.parametrize(("iterations", "smooth"), [(3, 1.0), (1, 0.01)])
def test_each_class_equals_monai(sizes: tuple[int, ...], mask: str, iterations: int, smooth: float) -> None:
    logits, target, _ = draw("classes", *sizes, ignored=0)
    if mask != "random":
        target.fill_(1 if mask == "full" else 0)
    if mask == "tube":
        target[:, :, 3:6] = 1
        target[:, 2] = 2
    probs, theirs = logits.softmax(1), []
    for sample in range(2):
        for k in (1, 2):
            truth = (target[sample] == k)[None, None].float()
            theirs.append(monai(iterations, smooth)(probs[sample, k][None, None], truth))
    ours = ClDice(iterations, smooth)(logits, target)
    assert_same_value_and_gradient(ours, torch.stack(theirs).mean(), logits, rtol=1e-4)


@pytest.mark.parametrize("sizes", [(14, 13), (7, 8, 9)])
def test_one_region_equals_monai(sizes: tuple[int, ...]) -> None:
    logits, target, _ = draw("regions", *sizes, channels=1, ignored=0)
    theirs = monai(3, 1.0)(logits.sigmoid(), target.float())
    assert_same_value_and_gradient(ClDice()(logits, target), theirs, logits, rtol=1e-4)


def test_the_skeleton_of_a_thick_line_is_its_middle() -> None:
    tube = torch.zeros(1, 1, 21, 40)
    tube[..., 8:13, :] = 1  # half-width 2
    skeleton = soft_skeleton(tube, 2)[0, 0]
    assert skeleton[10].all()
    assert not skeleton[[8, 9, 11, 12]][:, 3:-3].any()
    assert not soft_skeleton(tube, 1)[0, 0, :, 3:-3].any()  # too few erosions reach no middle
    middle = torch.from_numpy(skeletonize(tube[0, 0].numpy() > 0))
    assert middle[10, 5:-5].all()


def test_a_gap_costs_more_than_a_thinner_line() -> None:
    truth = torch.zeros(1, 1, 15, 60, dtype=torch.int64)
    truth[..., 6:9, :] = 1
    thin, gap = truth.clone(), truth.clone()
    thin[..., 6, :] = thin[..., 8, :] = 0
    gap[..., 25:45] = 0
    costs = [ClDice()(200.0 * (pred - 0.5), truth).item() for pred in (truth, thin, gap)]
    assert costs[0] == pytest.approx(0, abs=1e-6)
    assert costs[1] < 0.02 < 0.1 < costs[2]


def test_an_empty_mask_costs_the_predicted_skeleton() -> None:
    target = torch.zeros(1, 1, 20, 20, dtype=torch.int64)
    silent = torch.full((1, 1, 20, 20), -200.0)
    assert ClDice()(silent, target) == 0
    loud = silent.clone()
    loud[..., 10, :] = 200.0  # a line of 20 px
    loud.requires_grad_()
    assert ClDice()(loud, target).item() == pytest.approx(20 / 22)
    soft = torch.full((1, 1, 20, 20), -3.0)
    soft[..., 10, :] = 0.0
    soft.requires_grad_()
    slope = torch.autograd.grad(ClDice()(soft, target), soft)[0]
    assert (slope[..., 10, :] > 0).all()


def test_a_filled_mask_has_no_skeleton() -> None:
    logits = torch.zeros(1, 1, 20, 20)
    logits[..., 10, :] = 2.0
    full = torch.ones(1, 1, 20, 20, dtype=torch.int64)
    assert soft_skeleton(full.float(), 3).sum() == 0
    assert ClDice()(logits, full) == 0  # what is predicted lies inside, and there is nothing to miss


def test_a_disk_and_a_line_through_an_ignored_strip() -> None:
    truth = torch.zeros(1, 1, 40, 60, dtype=torch.int64)
    truth[0, 0][disk((12, 12), 5)] = 1
    truth[0, 0][line(30, 2, 30, 57)] = 1
    truth[..., 28:33, 20:40] = 255
    missing = 200.0 * ((truth == 1).float() - 0.5)
    assert ClDice()(missing, truth).item() == pytest.approx(0, abs=1e-6)  # the gap lies where nothing is known
