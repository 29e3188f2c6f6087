import pytest

from segexp.models import FCN8s, UNet
from segexp.models.sizes import EvenSizes


@pytest.mark.parametrize(
    ("network", "sizes"),
    [
        (UNet(base_channels=2, depth=4), EvenSizes(32, 16)),
        (UNet(base_channels=2, depth=1), EvenSizes(4, 2)),
        (UNet(base_channels=2, depth=4, padding="valid", alignment="crop"), EvenSizes(188, 16)),
        (FCN8s(base_channels=2, fc_channels=4), EvenSizes(64, 32)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sizes_that_every_pooling_halves_evenly(network, sizes):
    assert network.even_sizes == sizes
    assert sizes.at_least(1) == sizes.at_least(sizes.least) == sizes.least
    assert sizes.at_least(sizes.least + 1) == sizes.least + sizes.multiple_of


def test_the_image_of_the_paper_is_such_a_size():
    sizes = UNet(base_channels=2, depth=4, padding="valid", alignment="crop").even_sizes
    assert sizes.at_least(572) == 572  # figure 1
    assert sizes.at_least(571) == 572
