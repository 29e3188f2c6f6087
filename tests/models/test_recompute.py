"""Activation checkpointing changes memory and nothing else."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from segexp.models import UNet, UNetPlusPlus
from segexp.models.recompute import run_checkpointed, run_in_parts

KNOBS = [
    {},
    {"network": UNetPlusPlus, "attention": True, "deep_supervision": 1},
    {"block": "residual", "squeeze_excitation": 4, "upsampling": "linear", "alignment": "crop"},
    {"norm": "instance", "spatial_dims": 3},
]


def train(network: nn.Module, image: Tensor, steps: int = 3) -> list[Tensor]:
    """Train a little and return losses, last gradients and the state, running statistics included."""
    torch.manual_seed(5)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = sum(logits.square().mean() for logits in network(image, every_head=True))
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return [*losses, *(p.grad for p in network.parameters()), *network.state_dict().values()]


@pytest.mark.parametrize("knobs", KNOBS)
def test_checkpointing_trains_bit_for_bit_as_without(knobs):
    torch.manual_seed(0)
    network = knobs.get("network", UNet)
    plain = network(base_channels=4, depth=2, dropout=0.3, **{k: v for k, v in knobs.items() if k != "network"})
    thrifty = network(**(plain.config | {"checkpointing": True}))
    thrifty.load_state_dict(plain.state_dict())
    image = torch.randn(2, 1, *[17] * plain.config["spatial_dims"])
    for one, other in zip(train(plain, image), train(thrifty, image), strict=True):
        assert torch.equal(one, other)


def test_random_numbers_and_running_statistics_inside_a_module_are_those_of_one_run():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 3))
    thrifty = copy.deepcopy(plain)
    image = torch.randn(3, 1, 9, 9)
    torch.manual_seed(1)
    plain(image).square().sum().backward()
    torch.manual_seed(1)
    run_checkpointed(thrifty, image).square().sum().backward()
    for (name, one), other in zip(plain.state_dict().items(), thrifty.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert thrifty[1].num_batches_tracked == 1
    for one, other in zip(plain.parameters(), thrifty.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def kept_bytes(network: nn.Module, image: Tensor) -> int:
    """Bytes of the tensors that are kept for the backward pass, each memory counted once; without parameters."""
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, int] = {}
    alive = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)  # no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(image).sum()
    return sum(kept.values())


@pytest.mark.parametrize("network", [UNet, UNetPlusPlus])
def test_checkpointing_keeps_less_than_half(network):
    image = torch.randn(1, 1, 64, 64)
    plain, thrifty = (network(base_channels=8, depth=3, checkpointing=c) for c in (False, True))
    assert kept_bytes(thrifty, image) < 0.5 * kept_bytes(plain, image)


@pytest.mark.slow
def test_compiled_checkpointing_agrees():
    torch.manual_seed(0)
    network = UNet(base_channels=2, depth=1, checkpointing=True)
    compiled = torch.compile(copy.deepcopy(network), backend="aot_eager")
    image = torch.randn(2, 1, 16, 16)
    for one in (network, compiled):
        one(image).square().mean().backward()
    for one, other in zip(network.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    for (name, one), other in zip(network.named_buffers(), compiled.buffers(), strict=True):
        torch.testing.assert_close(one, other, msg=name)
    torch.compiler.reset()


@pytest.mark.parametrize("options", [{}, {"every_head": True}])
def test_parts_of_a_batch_have_the_logits_and_gradients_of_the_whole(options):
    torch.manual_seed(0)
    network = UNet(base_channels=2, depth=2, norm="instance", deep_supervision=1, checkpointing=True).double()
    image = torch.randn(5, 1, 16, 16, dtype=torch.double)
    found = []
    for run in (network, partial(run_in_parts, network, size=2)):
        network.zero_grad()
        heads = run(image, **options)
        heads = heads if options else [heads]
        torch.stack([one.square().sum() ** 2 for one in heads]).sum().backward()  # no sum over images
        gradients = [one.grad for one in network.parameters() if one.grad is not None]
        found.append([one.detach().clone() for one in (*heads, *gradients)])
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-12)


def test_running_statistics_see_each_part_once():
    network = UNet(base_channels=2, depth=2)
    run_in_parts(network, torch.randn(4, 1, 16, 16), 2).sum().backward()
    counts = {int(value) for name, value in network.named_buffers() if name.endswith("num_batches_tracked")}
    assert counts == {2}
