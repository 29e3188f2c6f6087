import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segexp.models import DoubleConv, Down, UNet, Up
from segexp.models.blocks import ACTIVATIONS, NORMS
from segexp.models.upsampling import UPSAMPLING, PixelShuffle


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("upsampling", "count"), [("transposed", 31_036_546), ("linear", 17_261_890)])
def test_parameter_counts_are_those_known_for_one_channel_and_two_classes(upsampling, count):
    with torch.device("meta"):
        assert parameters(UNet(1, 2, base_channels=64, depth=4, upsampling=upsampling)) == count


def test_paper_network_maps_572_to_388_pixels():
    network = UNet(base_channels=2, norm="none", dropout=0.5, padding="valid", alignment="crop", init="he").eval()
    with torch.no_grad():
        logits = network(torch.zeros(1, 1, 572, 572))
    assert logits.shape == (1, 2, 388, 388)
    assert network.output_size((572, 572)) == (388, 388)
    assert network.margin == 92


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_margin_is_what_the_logits_lack_on_each_side(depth):
    network = UNet(base_channels=1, depth=depth, padding="valid", alignment="crop")
    size = network.margin * 2 + 4
    with torch.no_grad():
        assert network(torch.zeros(1, 1, size, size)).shape == (1, 2, 4, 4)
    assert UNet(base_channels=1, depth=depth).margin == 0


def test_valid_network_sees_no_padding():
    """A valid network commutes with shifts by its stride: nothing depends on where the border is."""
    torch.manual_seed(0)
    network = UNet(base_channels=4, depth=2, norm="none", padding="valid", alignment="crop").eval()
    image = torch.randn(1, 1, 96, 96)
    with torch.no_grad():
        left, right = network(image[..., :92]), network(image[..., 4:])
    torch.testing.assert_close(left[..., 4:], right[..., :-4])


@pytest.mark.parametrize("size", [570, 571, 100, 3])
def test_impossible_valid_size_names_size_and_remedy(size):
    network = UNet(base_channels=1, padding="valid", alignment="crop")
    with pytest.raises(ValueError, match=rf"axis of {size} pixels cannot be halved.*take \d+.*model\.padding=same"):
        network(torch.zeros(1, 1, size, 572))


def test_sizes_that_the_error_offers_do_work():
    network = UNet(base_channels=1, padding="valid", alignment="crop")
    assert network.output_size((556, 572)) == (372, 388)


@settings(max_examples=40, deadline=None)
@given(
    size=st.lists(st.integers(1, 70), min_size=2, max_size=2),
    upsampling=st.sampled_from(UPSAMPLING),
    alignment=st.sampled_from(["pad", "crop"]),
    norm=st.sampled_from(list(NORMS)),
    depth=st.integers(1, 4),
    training=st.booleans(),
)
def test_any_size_from_one_pixel_gives_logits_of_that_size(size, upsampling, alignment, norm, depth, training):
    network = UNet(2, 3, base_channels=2, depth=depth, upsampling=upsampling, alignment=alignment, norm=norm)
    with torch.no_grad():
        logits = network.train(training)(torch.randn(1, 2, *size))
    assert logits.shape == (1, 3, *size)
    assert logits.isfinite().all()


@pytest.mark.parametrize("upsampling", UPSAMPLING)
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 9, 17), (16, 16, 16)])
def test_volumes(size, upsampling):
    network = UNet(spatial_dims=3, base_channels=2, depth=2, upsampling=upsampling, norm="instance")
    with torch.no_grad():
        assert network(torch.randn(1, 1, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_reach_every_parameter(activation):
    network = UNet(base_channels=2, depth=2, activation=activation, upsampling="pixel_shuffle")
    network(torch.randn(2, 1, 32, 32)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("dims", [2, 3])
def test_blocks_equal_those_of_monai_with_equal_weights(dims):
    """MONAI's BasicUNet is built of the same blocks, written by others: equal weights give equal maps."""
    from monai.networks.nets import basic_unet as theirs

    torch.manual_seed(0)
    style = {"act": ("relu", {"inplace": True}), "norm": ("batch", {}), "bias": True}
    image, small = torch.randn(2, 4, *[9] * dims), torch.randn(2, 8, *[4] * dims)
    pairs = [
        (DoubleConv(4, 6, spatial_dims=dims), theirs.TwoConv(dims, 4, 6, **style), (image,)),
        (Down(4, 6, spatial_dims=dims), theirs.Down(dims, 4, 6, **style), (image,)),
        (
            Up(8, 4, 4, upsampling="transposed", alignment="pad", spatial_dims=dims),
            theirs.UpCat(dims, 8, 4, 4, **style, is_pad=False),
            (small, image[(..., *[slice(8)] * dims)]),
        ),
    ]
    for mine, other, maps in pairs:
        kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
        ours, their = ([m for m in net.modules() if isinstance(m, kinds)] for net in (mine, other))
        for here, there in zip(ours, their, strict=True):
            there.weight.data.copy_(here.weight.data)
            there.bias.data.copy_(torch.zeros_like(there.bias) if here.bias is None else here.bias.data)
        torch.testing.assert_close(mine(*maps), other(*maps), atol=1e-5, rtol=1e-5)


def test_pixel_shuffle_equals_torch_in_2d():
    ours = PixelShuffle(3, 5, 2)
    image = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(ours(image), nn.functional.pixel_shuffle(ours.expand(image), 2))


def test_max_channels_caps_every_level():
    network = UNet(base_channels=8, max_channels=16, depth=4)
    assert max(module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)) == 16


def test_he_initialisation_has_the_papers_deviation():
    torch.manual_seed(0)
    network = UNet(base_channels=32, depth=1, norm="none", init="he")
    weight = network.stem[2].weight  # 32 channels, 3 x 3: fan-in 288
    assert float(weight.detach().std()) == pytest.approx((2 / 288) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": 0}, "depth=0 must be an integer of at least 1"),
        ({"depth": "three"}, "depth='three' must be an integer"),
        ({"upsampling": "transpose"}, "did you mean 'transposed'"),
        ({"norm": "bach"}, "did you mean 'batch'"),
        ({"spatial_dims": 4}, "spatial_dims=4 is not one of"),
        ({"dropout": 1.0}, "dropout=1.0 must be a number of at least 0 and below 1"),
        ({"max_channels": 8}, "max_channels=8 must be an integer of at least 64"),
        ({"padding": "valid"}, "take alignment='crop'"),
    ],
)
def test_wrong_arguments_are_refused_with_value_and_rule(arguments, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        UNet(**arguments)
