"""Binary cross-entropy of overlapping regions against torch."""

import pytest
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from segexp.losses import BinaryCrossEntropy
from tests.losses.examples import assert_same_value_and_gradient
from tests.losses.examples import draw as draw_kind


def draw(*sizes: int, ignored: float = 0.2) -> tuple[Tensor, Tensor, Tensor]:
    return draw_kind("regions", *sizes, samples=3, channels=2, ignored=ignored)


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6)])
@pytest.mark.parametrize("region", ["random", "empty", "full"])
def test_equals_torch_on_the_labeled_pixels(sizes: tuple[int, ...], region: str) -> None:
    logits, target, weight = draw(*sizes)
    if region != "random":
        target[:, 1] = region == "full"
    known = target != 255
    theirs = binary_cross_entropy_with_logits(logits[known], target[known].float())
    assert_same_value_and_gradient(BinaryCrossEntropy()(logits, target), theirs, logits)
    factors = weight[:, None].expand_as(logits)[known]
    theirs = binary_cross_entropy_with_logits(logits[known], target[known].float(), weight=factors)
    assert_same_value_and_gradient(BinaryCrossEntropy()(logits, target, weight), theirs, logits)


def test_region_weights_weigh_the_means_of_the_regions() -> None:
    logits, target, _ = draw(9, 7, ignored=0)
    first, second = (binary_cross_entropy_with_logits(logits[:, i], target[:, i].float()) for i in (0, 1))
    ours = BinaryCrossEntropy(region_weights=[1.0, 3.0])(logits, target)
    assert_same_value_and_gradient(ours, (first + 3 * second) / 4, logits)


def test_refuses_region_weights_of_another_number() -> None:
    with pytest.raises(ValueError, match="region_weights has 3 values but the logits have 2 regions: give one weight"):
        BinaryCrossEntropy(region_weights=[1, 2, 3])(*draw(3, 3))


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_reductions_equal_torch(reduction: str) -> None:
    logits, target, _ = draw(5, 6, ignored=0)
    theirs = binary_cross_entropy_with_logits(logits, target.float(), reduction=reduction)
    assert_close(BinaryCrossEntropy(reduction=reduction)(logits, target), theirs)
