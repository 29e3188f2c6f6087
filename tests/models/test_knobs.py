"""Options of U-Nets: gates, heads, parameters counted by hand, refusals."""

import pytest
import torch
from torch import nn

from segexp.models import UNet, UNetPlusPlus


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


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
