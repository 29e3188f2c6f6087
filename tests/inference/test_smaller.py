"""Tiles that take less memory."""

import pytest
import torch
from torch import nn

from segexp.inference import FlipTurnPredictor, SlicePredictor, TiledPredictor
from segexp.models import UNet


def steps(predictor, network, sizes):
    """All that it steps down to."""
    found = []
    while smaller := predictor.smaller(network, sizes):
        found.append(smaller.after)
        predictor = predictor.changed(**smaller.after)
    return found


def test_fewer_tiles_then_half_of_the_longest_side_in_sizes_that_the_network_takes():
    network = UNet(base_channels=2, depth=2)  # multiples of 4, of at least 8
    assert steps(TiledPredictor(tile=[20, 12], batch_size=4), network, (99, 99)) == [
        {"batch_size": 2},
        {"batch_size": 1},
        {"tile": [12, 12]},
        {"tile": [8, 12]},
        {"tile": [8, 8]},
    ]
    unpadded = UNet(base_channels=2, depth=1, padding="valid", alignment="crop")
    for smaller in steps(TiledPredictor(tile=44, batch_size=1), unpadded, (99, 99)):
        assert unpadded(torch.zeros(1, 1, *smaller["tile"])).numel()


def test_a_whole_image_is_halved_and_networks_that_tell_no_sizes_get_multiples_of_32():
    assert steps(TiledPredictor(batch_size=1), nn.Identity(), (100, 40)) == [
        {"tile": [64, 40]},
        {"tile": [32, 40]},
        {"tile": [32, 32]},
    ]


def test_an_overlap_in_px_leaves_a_larger_tile():
    assert steps(TiledPredictor(tile=64, overlap=40, batch_size=1), nn.Identity(), (99, 99)) == []


def test_predictors_of_slices_and_views_pass_it_on():
    tiles = TiledPredictor(tile=32, batch_size=2)
    for outer in (SlicePredictor(tiles, context=1), FlipTurnPredictor(tiles), SlicePredictor(FlipTurnPredictor(tiles))):
        smaller = outer.smaller(nn.Identity(), (9, 64, 64))
        assert smaller == ({"batch_size": 2}, {"batch_size": 1})
        inner = outer.changed(**smaller.after)
        while not isinstance(inner, TiledPredictor):
            inner = inner.predictor
        assert inner == TiledPredictor(tile=32, batch_size=1)
    assert tiles.batch_size == 2
    assert SlicePredictor(lambda network, image: image).smaller(nn.Identity(), (9, 9)) is None


@pytest.mark.parametrize("tile", [[16, 16], [24, 40]])
def test_the_batch_of_tiles_changes_no_probability(tile):
    torch.manual_seed(0)
    network, image = UNet(base_channels=2, depth=2).eval(), torch.randn(1, 1, 50, 60)
    whole = TiledPredictor(tile=tile, batch_size=4)
    torch.testing.assert_close(whole.changed(batch_size=1)(network, image), whole(network, image))
