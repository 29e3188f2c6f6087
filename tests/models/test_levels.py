"""Channels, kernels and strides per level and axis."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segexp.models import UNet, UNetPlusPlus
from segexp.models.levels import Levels, per_level
from segexp.models.sizes import along_axes
from segexp.models.upsampling import UPSAMPLING

SLICES = {"kernels": [[1, 3, 3]] * 3, "strides": [[1, 2, 2]] * 2}


def levels(odd: list[int], axes: int, depth: int) -> st.SearchStrategy:
    """Kernels of depth + 1 levels and strides of depth, of all axes or each."""
    kernel, stride = st.sampled_from(odd), st.sampled_from([1, 2])
    each = [
        kernel | st.lists(kernel, min_size=axes, max_size=axes),
        stride | st.lists(stride, min_size=axes, max_size=axes),
    ]
    return st.tuples(
        st.lists(each[0], min_size=depth + 1, max_size=depth + 1), st.lists(each[1], min_size=depth, max_size=depth)
    )


@pytest.mark.parametrize("network", [UNet, UNetPlusPlus])
@pytest.mark.parametrize("upsampling", UPSAMPLING)
@pytest.mark.parametrize("knobs", [{}, {"block": "residual", "attention": True}, {"deep_supervision": 1}])
def test_a_network_that_never_joins_slices_equals_the_one_of_images_slice_by_slice(network, upsampling, knobs):
    torch.manual_seed(0)
    options = {"base_channels": 2, "depth": 2, "upsampling": upsampling, **knobs}
    plane = network(spatial_dims=2, **options).eval()
    volume = network(spatial_dims=3, **SLICES, **options).eval()
    for here, there in zip(plane.parameters(), volume.parameters(), strict=True):
        there.data.copy_(here.data.reshape(there.shape))
    image = torch.randn(1, 1, 5, 11, 18)
    with torch.no_grad():
        expected = torch.stack([plane(image[:, :, z]) for z in range(5)], dim=2)
        torch.testing.assert_close(volume(image), expected, atol=1e-5, rtol=1e-5)
        assert [tuple(logits.shape[2:]) for logits in volume(image, every_head=True)[1:]] in (
            [],
            [(5, 5, 9)],
            [(5, 11, 18)],
        )


@settings(max_examples=30, deadline=None)
@given(
    size=st.lists(st.integers(1, 40), min_size=2, max_size=2),
    given=levels([1, 3, 5], 2, 3),
    upsampling=st.sampled_from(UPSAMPLING),
    alignment=st.sampled_from(["pad", "crop"]),
    network=st.sampled_from([UNet, UNetPlusPlus]),
)
def test_any_size_gives_logits_of_that_size(size, given, upsampling, alignment, network):
    kernels, strides = given
    built = network(
        1, 2, base_channels=2, depth=3, upsampling=upsampling, alignment=alignment, kernels=kernels, strides=strides
    )
    with torch.no_grad():
        assert built(torch.randn(2, 1, *size)).shape == (2, 2, *size)


@settings(max_examples=40, deadline=None)
@given(given=levels([1, 3, 5], 2, 2), steps=st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_unpadded_networks_take_their_even_sizes_and_no_others(given, steps):
    kernels, strides = given
    built = UNet(
        base_channels=1, depth=2, norm="none", padding="valid", alignment="crop", kernels=kernels, strides=strides
    )
    even, margin = along_axes(built.even_sizes, 2), along_axes(built.margin, 2)
    size = [sizes.least + k * sizes.multiple_of for sizes, k in zip(even, steps, strict=True)]
    with torch.no_grad():
        logits = built(torch.zeros(1, 1, *size))
    assert logits.shape[2:] == tuple(n - 2 * m for n, m in zip(size, margin, strict=True)) == built.output_size(size)
    for axis, sizes in enumerate(even):
        if sizes.multiple_of > 1:
            with pytest.raises(ValueError, match="cannot be halved evenly"):
                built.output_size([n + (other == axis) for other, n in enumerate(size)])


@settings(max_examples=20, deadline=None)
@given(given=levels([1, 3], 2, 2))
def test_an_unpadded_network_sees_no_padding(given):
    """What lies beyond the margin and the receptive field is not looked at: other values there change nothing."""
    kernels, strides = given
    torch.manual_seed(0)
    built = UNet(
        base_channels=2, depth=2, norm="none", padding="valid", alignment="crop", kernels=kernels, strides=strides
    )
    scales = built.levels.scales[-1]
    size = [sizes.at_least(60) for sizes in along_axes(built.even_sizes, 2)]
    image = torch.randn(1, 1, *(n + scale for n, scale in zip(size, scales, strict=True)))
    with torch.no_grad():
        here = built(image[..., : size[0], : size[1]])
        there = built(image[..., scales[0] :, scales[1] :])
    torch.testing.assert_close(here[..., scales[0] :, scales[1] :], there[..., : -scales[0], : -scales[1]])


def test_spelled_out_they_are_the_same_network():
    torch.manual_seed(0)
    short = UNet(base_channels=4, depth=2).eval()
    torch.manual_seed(0)
    long = UNet(channels=[4, 8, 16], depth=2, kernels=[3, [3, 3], (3, 3)], strides=([2, 2], 2)).eval()
    assert list(short.state_dict()) == list(long.state_dict())
    image = torch.randn(1, 1, 13, 22)
    assert torch.equal(short(image), long(image))
    assert long.config["kernels"] == [3, [3, 3], [3, 3]]  # plain lists, as a checkpoint keeps them
    assert long.config["strides"] == [[2, 2], 2]
    assert (long.margin, long.even_sizes, long.receptive_field()) == (
        short.margin,
        short.even_sizes,
        short.receptive_field(),
    )


def test_channels_are_those_of_the_levels():
    network = UNet(channels=[5, 7, 6], depth=2)
    widths = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [5, 5, 7, 7, 6, 6, 7, 7, 5, 5, 2]
    narrow = UNet(channels=[4, 8, 12], depth=2, upsampling="linear")
    assert narrow(torch.randn(1, 1, 9, 9)).shape == (1, 2, 9, 9)


def test_scales_and_what_follows_from_them():
    found = Levels.of([[1, 3, 3], 3, 3], [[1, 2, 2], 2], "same", 2, 3)
    assert found.scales == [(1, 1, 1), (1, 2, 2), (2, 4, 4)]
    assert [sizes.multiple_of for sizes in found.even_sizes] == [2, 4, 4]
    assert found.receptive_field(linear=False) == (18, 44, 44)  # one pooling less, and two 1-wide convolutions more
    assert Levels.of([[1, 3, 3], 3, 3], [[1, 2, 2], 2], "valid", 2, 3).margin == (8, 20, 20)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kernels": 4}, "kernels=4 must be odd numbers from 1 to 31"),
        ({"kernels": [3, 3]}, r"kernels=\[3, 3\] has 2 entries: give one number, or a list of 5"),
        ({"kernels": [[3, 3, 3], 3, 3, 3, 3]}, "for each level one or 2, one per axis"),
        ({"kernels": 3.0}, "kernels=3.0 must be odd"),
        ({"kernels": True}, "kernels=True must be odd"),
        ({"kernels": "333"}, "kernels='333' must be odd"),
        ({"strides": 3}, r"strides=3 must be 1 \(not pooled\) or 2"),
        ({"strides": [2] * 5}, "has 5 entries: give one number, or a list of 4"),
        ({"strides": [0, 2, 2, 2]}, "strides="),
        ({"channels": [8, 16]}, "must be null or a list of depth . 1 = 5"),
        ({"channels": 8}, "channels=8 must be null or a list"),
        ({"channels": [8, 16, 0, 8, 8]}, r"channels\[2\]=0 must be an integer of at least 1"),
    ],
)
def test_wrong_levels_are_refused_with_value_and_rule(arguments, words):
    with pytest.raises(ValueError, match=words):
        UNet(**arguments)


def test_a_number_per_level_and_axis():
    assert per_level("kernels", 3, 2, 2, (1, 3), "odd") == ((3, 3), (3, 3))
    assert per_level("kernels", [1, (1, 3)], 2, 2, (1, 3), "odd") == ((1, 1), (1, 3))
