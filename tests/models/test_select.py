import pytest
import torch
from torch import nn

from segexp.models import Select


class Both(nn.Module):
    def forward(self, image):
        return {"out": image, "aux": image[..., ::2, ::2]}


class Pair(nn.Module):
    def forward(self, image):
        return image[..., ::2, ::2], image


def test_outputs_are_chosen_by_key_and_by_position():
    image = torch.randn(1, 2, 8, 8)
    assert torch.equal(Select(Both())(image), image)
    assert torch.equal(Select(Pair(), 1)(image), image)
    assert torch.equal(Select(nn.Identity(), None)(image), image)
    fine, deep = Select(Both(), "out", deep=["aux"])(image, every_head=True)
    assert torch.equal(fine, image)
    assert torch.equal(deep, image[..., ::2, ::2])


@pytest.mark.parametrize("sides", [(8,), (8, 6), (4, 6, 8)])
def test_smaller_logits_are_interpolated_to_the_image(sides):
    image = torch.full((1, 2, *sides), 3.0)
    small = nn.Module()
    small.forward = lambda image: image[..., ::2]
    assert torch.allclose(Select(small, None, resize=True)(image), image)


def test_an_output_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"output='logits': Both gives no such output: choose one of \['out', 'aux'\]"):
        Select(Both(), "logits")(torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match=r"output=2: Pair gives no such output: choose one of \[0, 1\]"):
        Select(Pair(), 2)(torch.zeros(1, 2, 8, 8))
