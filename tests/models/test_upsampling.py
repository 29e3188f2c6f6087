import torch
from torch import nn

from segexp.models.upsampling import PixelShuffle


def test_pixel_shuffle_equals_torch_in_2d():
    ours = PixelShuffle(3, 5, (2, 2))
    image = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(ours(image), nn.functional.pixel_shuffle(ours.expand(image), 2))
