"""Nested networks, gates and heads against MONAI, equivalences, and numbers by hand."""

import pytest
import torch
from torch import nn

from segexp.models import UNet
from segexp.models.upsampling import UPSAMPLING


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def monai_nested(dims: int) -> nn.Module:
    """MONAI's U-Net++, whose finest up-samplings keep twice the channels of the paper's: made anew with the paper's."""
    from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus, UpCat

    style = {"act": ("relu", {"inplace": True}), "norm": ("batch", {}), "bias": True, "dropout": 0.0}
    network = BasicUNetPlusPlus(dims, 1, 2, features=(4, 8, 16, 32, 64, 4), deep_supervision=True, **style)
    for skips in range(1, 5):
        setattr(network, f"upcat_0_{skips}", UpCat(dims, 8, 4 * skips, 4, **style, upsample="deconv"))
    return network


def copy_convolutions(ours: nn.Module, theirs: nn.Module) -> None:
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    mine, others = ([m for m in one.modules() if isinstance(m, kinds)] for one in (ours, theirs))
    for here, there in zip(mine, others, strict=True):
        there.weight.data.copy_(here.weight.data)
        there.bias.data.copy_(torch.zeros_like(there.bias) if here.bias is None else here.bias.data)


@pytest.mark.parametrize("dims", [2, 3])
def test_nested_network_and_its_heads_equal_those_of_monai(dims):
    torch.manual_seed(0)
    ours = UNet(1, 2, dims, base_channels=4, depth=4, nested=True, deep_supervision=3)
    theirs = monai_nested(dims)
    for level, (mine, other) in enumerate(zip([ours.stem, *ours.downs], range(5), strict=True)):
        copy_convolutions(mine, getattr(theirs, f"conv_{other}_0"))
        assert level == other
    columns = [0] * 5
    for up, level in zip(ours.ups, ours.levels, strict=True):
        columns[level] += 1
        copy_convolutions(up, getattr(theirs, f"upcat_{level}_{columns[level]}"))
    assert columns == [4, 3, 2, 1, 0]
    for column, head in zip((4, 3, 2, 1), [ours.head, *ours.further_heads], strict=True):
        copy_convolutions(head, getattr(theirs, f"final_conv_0_{column}"))
    image = torch.randn(2, 1, *[32] * dims)
    outputs, expected = ours(image, every_head=True), theirs(image)
    for mine, other in zip(outputs, reversed(expected), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("nested", "millions"), [(False, 7.76), (True, 9.04)])
def test_parameters_are_those_of_the_paper_of_unet_plus_plus(nested, millions):
    """Zhou et al. 2018, of U-Net and U-Net++: three channels, widths 32 to 512, transposed convolutions, no norm."""
    with torch.device("meta"):
        network = UNet(3, 1, base_channels=32, norm="none", nested=nested)
    assert round(parameters(network) / 1e6, 2) == millions


@pytest.mark.parametrize("upsampling", UPSAMPLING)
@pytest.mark.parametrize("knobs", [{}, {"block": "residual", "attention": True, "squeeze_excitation": 2}])
def test_nested_depth_one_is_the_plain_network(upsampling, knobs):
    torch.manual_seed(0)
    plain = UNet(base_channels=4, depth=1, upsampling=upsampling, **knobs)
    nested = UNet(**(plain.config | {"nested": True}))
    nested.load_state_dict(plain.state_dict())
    image = torch.randn(2, 1, 9, 10)
    assert torch.equal(plain(image), nested(image))


@pytest.mark.parametrize("nested", [False, True])
def test_open_gates_change_nothing(nested):
    torch.manual_seed(0)
    gated = UNet(base_channels=4, depth=3, nested=nested, attention=True)
    plain = UNet(base_channels=4, depth=3, nested=nested)
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
@pytest.mark.parametrize("nested", [False, True])
def test_heads_of_tiny_images_show_the_image_and_not_its_padding(size, nested):
    network = UNet(base_channels=2, depth=3, nested=nested, deep_supervision=2)
    sizes = [logits.shape[-1] for logits in network(torch.randn(2, 1, size, size), every_head=True)]
    assert sizes == ([size] * 3 if nested else [size, max(size // 2, 1), max(size // 4, 1)])


def test_one_head_is_a_list_of_one():
    network = UNet(base_channels=2, depth=1).eval()
    image = torch.randn(1, 1, 8, 8)
    (only,) = network(image, every_head=True)
    assert torch.equal(only, network(image))


def test_config_builds_the_same_network():
    torch.manual_seed(0)
    network = UNet(base_channels=2, depth=2, block="residual", attention=True, nested=True, deep_supervision=1).eval()
    again = UNet(**network.config).eval()
    again.load_state_dict(network.state_dict())
    image = torch.randn(1, 1, 16, 16)
    assert torch.equal(network(image), again(image))


def test_nested_unpadded_network_has_the_size_of_the_plain_one():
    for nested in (False, True):
        network = UNet(base_channels=1, depth=2, padding="valid", alignment="crop", nested=nested)
        assert network(torch.zeros(2, 1, 60, 64)).shape[2:] == network.output_size((60, 64)) == (20, 24)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"block": "residual_block"}, "did you mean 'residual'"),
        ({"deep_supervision": 4}, "deep_supervision=4 must be below depth=4.*take deep_supervision=3 or less"),
        ({"deep_supervision": -1}, "deep_supervision=-1 must be an integer of at least 0"),
        ({"deep_supervision": 1, "padding": "valid", "alignment": "crop"}, "take padding='same' or deep_supervision=0"),
        ({"squeeze_excitation": 0.5}, "squeeze_excitation=0.5 must be an integer of at least 0"),
        ({"attention": "yes"}, "attention='yes' is not one of"),
        ({"nested": None}, "nested=None is not one of"),
        ({"checkpointing": "true"}, "checkpointing='true' is not one of.*did you mean 'True'"),
    ],
)
def test_wrong_knobs_are_refused_with_value_and_rule(arguments, words):
    with pytest.raises(ValueError, match=words):
        UNet(**arguments)
