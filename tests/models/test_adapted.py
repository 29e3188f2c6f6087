"""Modules of others: sizes and margins against outputs counted by hand, and MONAI's networks."""

import copy

import monai.networks.nets as monai_nets
import pytest
import torch
from torch import nn

from segexp.models import Adapted, Select, UNet, adapted, own_module
from segexp.models.sizes import EvenSizes

THREE = (nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))


class Wrapped(nn.Module):
    """A U-Net of ours that tells nothing of itself."""

    def __init__(self, **arguments):
        super().__init__()
        self.inner = UNet(base_channels=2, depth=2, **arguments)

    def forward(self, x):
        return self.inner(x)


class Halving(nn.Module):
    """Takes multiples of four alone, by its own check."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x):
        if any(side % 4 for side in x.shape[2:]):
            raise RuntimeError("wrong size")
        return self.conv(x)


class Counting(nn.Module):
    """Has a state that each pass changes, and draws random numbers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.register_buffer("passes", torch.zeros(1))
        self.seen = []

    def forward(self, x):
        self.passes += 1
        self.seen.append(x)
        return self.conv(x) + torch.rand(1)


class Giving(nn.Module):
    """Gives whatever a function makes of its logits."""

    def __init__(self, given, outputs=2):
        super().__init__()
        self.conv = nn.Conv2d(1, outputs, 1)
        self.given = given

    def forward(self, x):
        return self.given(self.conv(x), self.training)


@pytest.mark.parametrize(
    ("network", "margin", "least", "multiple_of"),
    [
        (nn.Sequential(*THREE), 0, 1, 1),
        (nn.Sequential(nn.Conv2d(1, 2, 5)), 2, 5, 1),
        (Halving(), 0, 4, 4),
        (Wrapped(padding="valid", alignment="crop"), 20, 44, 4),
        (nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.InstanceNorm2d(4), nn.Conv2d(4, 2, 1)), 0, 2, 1),
        (monai_nets.UNet(2, 1, 2, (2, 4, 8), (2, 2), norm="batch"), 0, 4, 4),
    ],
    ids=["plain", "unpadded", "multiples", "valid U-Net", "instance norm", "MONAI"],
)
def test_sizes_and_margins_are_found(network, margin, least, multiple_of):
    found = adapted(network, 1, 2, (32, 32))
    assert (found.margin, found.even_sizes) == (margin, EvenSizes(least, multiple_of))
    assert own_module(found) is network


@pytest.mark.parametrize("size", [(32, 32), (33, 50), (3, 1)])
def test_images_of_any_size_are_padded_and_cropped(size):
    network = adapted(Halving(), 1, 2, (32, 32))
    image = torch.randn(2, 1, *size)
    logits = network(image)
    assert logits.shape == (2, 2, *size)
    whole = own_module(network).conv(image)
    assert torch.equal(logits[..., : size[0] - 1, : size[1] - 1], whole[..., : size[0] - 1, : size[1] - 1])


def test_a_padded_image_of_a_valid_network_keeps_the_margin():
    network = adapted(Wrapped(padding="valid", alignment="crop"), 1, 2, (64, 64))
    assert network(torch.zeros(1, 1, 65, 66)).shape == (1, 2, 25, 26)


def test_volumes_are_tried_by_their_patch_where_steps_differ_by_axis():
    network = monai_nets.UNet(
        3, 1, 2, (2, 4, 8), ((1, 2, 2), (1, 2, 2)), kernel_size=(1, 3, 3), up_kernel_size=(1, 3, 3)
    )
    found = adapted(network, 1, 2, (3, 32, 32)).eval()
    image = torch.randn(1, 1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(found(image), network.eval()(image))


def test_a_network_of_one_size_keeps_to_it():
    network = monai_nets.UNETR(1, 2, (32, 32), 4, 24, 24, 2, spatial_dims=2)
    found = adapted(network, 1, 2, (32, 32))
    assert found.even_sizes == EvenSizes(32, 0)
    assert found.eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 2, 32, 32)


def test_trying_leaves_the_network_and_the_random_numbers_as_they_were():
    network = Counting()
    network.conv.eval()
    before = copy.deepcopy(network.state_dict())
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    adapted(network, 1, 2, (32, 32))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert (network.training, network.conv.training, network.seen) == (True, False, [])


def test_lazy_layers_come_into_being():
    found = adapted(
        nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.LazyBatchNorm2d(), nn.LazyConv2d(2, 1)), 3, 2, (8, 8)
    )
    assert found.state_dict()["0.weight"].shape == (4, 3, 3, 3)


def test_tensors_have_the_names_that_the_module_gives_them():
    module = nn.Sequential(*copy.deepcopy(THREE))
    found = adapted(module, 1, 2, (8, 8))
    assert list(found.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    holder, other = nn.ModuleDict({"net": found}), nn.ModuleDict({"net": copy.deepcopy(found)})
    assert next(iter(holder.state_dict())) == "net.0.weight"
    nn.init.zeros_(module[0].weight)
    other.load_state_dict(holder.state_dict())
    assert not own_module(other["net"])[0].weight.any()
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({})


def test_ours_stays_as_it_is_and_one_that_tells_its_sizes_is_not_tried():
    ours = UNet(base_channels=2, depth=1)
    assert adapted(ours, 1, 2, (8, 8)) is ours
    telling = Counting()
    telling.even_sizes, telling.margin = EvenSizes(6, 3), 1
    found = adapted(telling, 1, 2, (9, 9))
    assert (found.margin, found.even_sizes) == (1, EvenSizes(6, 3))


def test_several_heads_come_if_the_module_has_them():
    both = Giving(lambda logits, _: {"out": logits, "low": logits[..., ::2, ::2]})
    found = adapted(Select(both, "out", deep=["low"]), 1, 2, (8, 8))
    assert isinstance(found, Adapted)
    assert found.heads == 2
    assert [tuple(head.shape[2:]) for head in found(torch.zeros(1, 1, 8, 8), every_head=True)] == [(8, 8), (4, 4)]
    attention = Giving(lambda logits, _: logits)
    attention.heads = 12
    assert adapted(attention, 1, 2, (8, 8)).heads == 1


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Giving(lambda logits, _: {"out": logits}), r"gives a dict with \['out'\] in place of logits: .*Select"),
        (Giving(lambda logits, _: (logits, logits)), "gives a tuple with positions 0 to 1"),
        (Giving(lambda logits, _: "text"), "gives a str in place of logits"),
        (Giving(lambda logits, _: logits, 3), "gives 3 channels, but the data have 2 classes"),
        (Giving(lambda logits, _: logits, 3), r"by whichever of its arguments sets it \(\w"),
        (Giving(lambda logits, _: logits[:, 0]), r"gives float32 of shape \(1, 32, 32\).* it must give logits"),
        (Giving(lambda logits, _: logits.argmax(1, True)), "gives int64 of shape"),
        (Giving(lambda logits, _: logits[..., ::2, ::2]), r"gives logits of \(16, 16\) for an image of \(32, 32\)"),
        (Giving(lambda logits, training: [logits] if training else logits), "gives a list in training"),
        (nn.Conv2d(3, 2, 1), "does not take an image of shape .*the data give it 1 channels and 2 axes"),
        (monai_nets.UNet(2, 1, 5, (2, 4), (2,)), "such as model.out_channels=2"),
        ([], "list is no torch.nn.Module"),
    ],
)
def test_what_gives_no_logits_of_the_data_is_refused_in_one_sentence(network, message):
    with pytest.raises(ValueError, match=message) as caught:
        adapted(network, 1, 2, (32, 32))
    assert "\n" not in str(caught.value)
