"""What docs/losses.md says of other libraries, and what ours do there."""

import pytest
import torch
from monai.losses import (
    DeepSupervisionLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    SoftclDiceLoss,
)
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import cross_entropy

from segexp.losses import ClDice, CrossEntropy, Dice, Focal, GeneralizedDice
from tests.losses.examples import draw


def gradient(value: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(value, logits)[0]


def test_monai_generalized_dice_of_an_empty_mask_has_no_gradient() -> None:
    logits, target, _ = draw("classes", 8, 8, ignored=0)
    target.zero_()
    theirs = GeneralizedDiceLoss(include_background=False, to_onehot_y=True, softmax=True)(logits, target[:, None])
    assert theirs == 0
    assert not gradient(theirs, logits).any()
    ours = GeneralizedDice(include_background=False)(logits, target)
    assert ours > 0.9
    assert (gradient(ours, logits)[:, 1:].sum((0, 2, 3)) > 0).all()


def test_monai_generalized_dice_of_large_objects_fades() -> None:
    target = torch.zeros(1, 1024, 1024, dtype=torch.int64)
    target[:, :, :512] = 1
    logits = 40.0 * torch.stack([target, 1 - target], 1)  # all pixels wrong
    theirs = GeneralizedDiceLoss(to_onehot_y=True, softmax=True)(logits, target[:, None])
    assert 0.4 < theirs < 0.5  # their smooth, 1e-5, is as large as size / size^2
    assert GeneralizedDice()(logits, target) > 0.999


def test_monai_focal_with_softmax_divides_by_the_classes_unless_pixels_are_ignored() -> None:
    logits, target, _ = draw("classes", 8, 8, ignored=0)
    theirs = FocalLoss(to_onehot_y=True, gamma=0, use_softmax=True)(logits, target[:, None])
    torch.testing.assert_close(theirs, cross_entropy(logits, target) / 3)
    ignoring = FocalLoss(to_onehot_y=True, gamma=0, use_softmax=True, ignore_index=255)(logits, target[:, None])
    torch.testing.assert_close(ignoring, 3 * theirs)  # though no pixel is ignored
    torch.testing.assert_close(Focal(gamma=0)(logits, target), cross_entropy(logits, target))


def test_monai_focal_with_softmax_and_gamma_below_one_has_no_gradient_where_it_is_sure() -> None:
    logits = torch.tensor([200.0, 0.0]).reshape(1, 2, 1).requires_grad_()
    target = torch.tensor([[0]])
    theirs = FocalLoss(to_onehot_y=True, gamma=0.5, use_softmax=True)(logits, target[:, None])
    assert gradient(theirs, logits).isnan().all()
    assert not gradient(Focal(gamma=0.5)(logits, target), logits).any()


def test_monai_focal_without_background_leaves_its_logit_out_of_the_softmax() -> None:
    logits = torch.tensor([5.0, 0.0, -5.0]).reshape(1, 3, 1)  # background is predicted
    missed = torch.tensor([[1]])
    theirs = FocalLoss(include_background=False, to_onehot_y=True, gamma=0, use_softmax=True)
    assert theirs(logits, missed[:, None]) < 0.01
    assert Focal(gamma=0, class_weights=[0.0, 1.0, 1.0])(logits, missed) > 5


def test_monai_cldice_counts_the_background_and_pools_the_classes() -> None:
    target = torch.zeros(1, 64, 64, dtype=torch.int64)
    for row in range(3):
        target[:, row::8] = 1  # tubes 3 px wide, 5 px apart
    missed = torch.stack([torch.zeros(1, 64, 64), torch.full((1, 64, 64), -20.0)], 1)
    assert SoftclDiceLoss(softmax=True, to_onehot_y=True)(missed, target[:, None]) < 0.4
    assert ClDice()(missed, target) > 0.99
    regions = torch.zeros(1, 2, 64, 64, dtype=torch.int64)
    regions[:, 0, 30:33] = 1
    regions[:, 1, 10:13, :8] = 1
    logits = 40 * (regions - 0.5)
    logits[:, 1] = -20  # the short tube is missed
    assert SoftclDiceLoss(sigmoid=True)(logits, regions.float()) < 0.06
    assert ClDice()(logits, regions) > 0.38


def test_monai_dice_of_regions_with_ignore_index_leaves_out_the_background() -> None:
    logits, target, _ = draw("regions", 8, 8, ignored=0)
    nowhere = (target == 0).all(1, keepdim=True).expand_as(logits)
    loss = DiceLoss(sigmoid=True, ignore_index=255)  # no pixel is 255
    assert not gradient(loss(logits, target.float()), logits)[nowhere].any()
    assert gradient(Dice()(logits, target), logits)[nowhere].all()
    target[:, 0, :2] = 255
    unknown = target == 255
    assert gradient(loss(logits, target.float()), logits)[unknown].all()  # 255 is taken for a truth of 255
    assert not gradient(Dice()(logits, target), logits)[unknown].any()


def test_torch_cross_entropy_is_nan_where_nothing_counts() -> None:
    logits, target, _ = draw("classes", 3, 3)
    target.fill_(255)
    assert cross_entropy(logits, target, ignore_index=255).isnan()
    assert CrossEntropy()(logits, target) == 0


def test_monai_deep_supervision_weights_do_not_sum_to_one() -> None:
    assert DeepSupervisionLoss(cross_entropy).get_weights(4) == [1.0, 0.5, 0.25, 0.125]


def test_scipy_distance_within_a_full_mask_is_to_nowhere() -> None:
    full = torch.ones(4, 5).numpy()
    assert distance_transform_edt(full)[0].tolist() == pytest.approx([k**0.5 for k in (1, 2, 5, 10, 17)])
