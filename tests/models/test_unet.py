import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segexp.models import UNet, UNetPlusPlus
from segexp.models.blocks import ACTIVATIONS, NORMS
from segexp.models.upsampling import UPSAMPLING


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


@pytest.mark.parametrize("network", [UNet, UNetPlusPlus])
def test_open_gates_change_nothing(network):
    torch.manual_seed(0)
    gated = network(base_channels=4, depth=3, attention=True)
    plain = network(base_channels=4, depth=3)
    plain.load_state_dict({k: v for k, v in gated.state_dict().items() if ".gate." not in k})
    for up in gated.ups:
        nn.init.constant_(up.gate.score.bias, 1e4)
    image = torch.randn(2, 1, 19, 24)
    assert torch.equal(gated(image), plain(image))


def test_closed_gates_cut_the_skips():
    torch.manual_seed(0)
    gated = UNet(base_channels=4, depth=1, attention=True)
    nn.init.constant_(gated.ups[0].gate.score.bias, -1e4)
    nn.init.zeros_(gated.downs[0][1][0].weight)  # and nothing comes from below
    one, other = gated(torch.randn(1, 1, 8, 8)), gated(torch.randn(1, 1, 8, 8))
    torch.testing.assert_close(one, other)


LEVELS = {8: 2, 16: 2, 32: 2, 64: 2, 128: 1}  # channels and blocks of UNet(base_channels=8, depth=4)
SHORTCUTS = [(1, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, 64), (64, 32), (32, 16), (16, 8)]


@pytest.mark.parametrize(
    ("knobs", "more"),
    [
        # a 1-wide convolution without bias and a norm
        ({"block": "residual"}, sum(source * sink + 2 * sink for source, sink in SHORTCUTS)),
        # c channels of skip and of gate to c / 2, one bias; c / 2 to 1, with bias
        ({"attention": True}, sum(2 * c * c // 2 + c // 2 + c // 2 + 1 for c in (8, 16, 32, 64))),
        # 16 and 32 channels to 2 classes, with bias
        ({"deep_supervision": 2}, 16 * 2 + 2 + 32 * 2 + 2),
        # c channels to c / 4 and back, with biases
        ({"squeeze_excitation": 4}, sum(n * (c * c // 4 + c // 4 + c // 4 * c + c) for c, n in LEVELS.items())),
        ({"checkpointing": True}, 0),
    ],
)
def test_knobs_add_the_parameters_counted_by_hand(knobs, more):
    assert parameters(UNet(base_channels=8, **knobs)) - parameters(UNet(base_channels=8)) == more


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("alignment", "half", "quarter"), [("pad", 10, 5), ("crop", 11, 6)])
def test_heads_show_the_decoder_levels(dims, alignment, half, quarter):
    network = UNet(1, 3, dims, base_channels=2, depth=3, alignment=alignment, deep_supervision=2).eval()
    image = torch.randn(1, 1, *[21] * dims)
    outputs = network(image, every_head=True)
    assert [tuple(logits.shape[1:]) for logits in outputs] == [(3, *[n] * dims) for n in (21, half, quarter)]
    assert network.heads == 3
    assert torch.equal(outputs[0], network(image))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_heads_of_tiny_images_show_the_image_and_not_its_padding(size):
    network = UNet(base_channels=2, depth=3, deep_supervision=2)
    sizes = [logits.shape[-1] for logits in network(torch.randn(2, 1, size, size), every_head=True)]
    assert sizes == [size, max(size // 2, 1), max(size // 4, 1)]


def test_one_head_is_a_list_of_one():
    network = UNet(base_channels=2, depth=1).eval()
    image = torch.randn(1, 1, 8, 8)
    (only,) = network(image, every_head=True)
    assert torch.equal(only, network(image))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"block": "residual_block"}, "did you mean 'residual'"),
        ({"deep_supervision": 4}, "deep_supervision=4 must be an integer of at least 0 and at most 3: depth=4 has 3"),
        ({"deep_supervision": -1}, "deep_supervision=-1 must be an integer of at least 0"),
        ({"deep_supervision": 1, "padding": "valid", "alignment": "crop"}, "take padding='same' or deep_supervision=0"),
        ({"squeeze_excitation": 0.5}, "squeeze_excitation=0.5 must be an integer of at least 0"),
        ({"attention": "yes"}, "attention='yes' is not one of"),
        ({"checkpointing": "true"}, "checkpointing='true' is not one of.*did you mean 'True'"),
    ],
)
def test_wrong_knobs_are_refused_with_value_and_rule(arguments, words):
    with pytest.raises(ValueError, match=words):
        UNet(**arguments)
