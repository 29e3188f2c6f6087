"""Each fast path agrees with the plain one."""

import platform
import resource
from pathlib import Path

import pytest
import torch

from segexp.losses import Compound, CrossEntropy, Dice
from segexp.models import UNet
from segexp.training.performance import Performance, best_precision

LOSS = Compound({"dice": 1.0, "ce": 1.0}, {"dice": Dice(), "ce": CrossEntropy()})
PLAIN = Performance(channels_last=False, tf32=False, cudnn_benchmark=False)


def step(
    performance: Performance, bf16: bool = False, fused: bool = False, dims: int = 2
) -> tuple[float, torch.Tensor]:
    """Loss and head weights after two optimizer steps."""
    torch.manual_seed(0)
    network = UNet(spatial_dims=dims, base_channels=4, depth=2)
    image, target = torch.randn(2, 1, *[16] * dims), torch.randint(2, (2, *[16] * dims))
    performance.apply(network, dims)
    image = image.contiguous(memory_format=performance.memory_format(dims))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, fused=fused)
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = LOSS(network(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach()), network.head[0].weight.detach()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("performance", "options", "tolerance"),
    [
        (Performance(channels_last=True), {}, 1e-4),
        (Performance(channels_last=False), {"fused": True}, 1e-4),
        (Performance(channels_last=True), {"bf16": True}, 3e-2),
    ],
    ids=["channels_last", "fused", "bf16"],
)
def test_fast_paths_agree_with_the_plain_one(dims, performance, options, tolerance):
    loss, weight = step(performance, dims=dims, **options)
    plain_loss, plain_weight = step(PLAIN, dims=dims)
    assert loss == pytest.approx(plain_loss, abs=tolerance)
    torch.testing.assert_close(weight, plain_weight, atol=tolerance, rtol=tolerance)


@pytest.mark.slow
def test_compiled_network_agrees_with_the_plain_one():
    loss, weight = step(Performance(compile=True))
    plain_loss, plain_weight = step(PLAIN)
    assert loss == pytest.approx(plain_loss, abs=1e-4)
    torch.testing.assert_close(weight, plain_weight, atol=1e-4, rtol=1e-4)


def test_channels_last_lays_weights_and_images_out():
    network = UNet(base_channels=4, depth=1)
    Performance().apply(network, 2)
    assert network.stem[3].weight.is_contiguous(memory_format=torch.channels_last)
    assert Performance().memory_format(3) == torch.channels_last_3d
    assert PLAIN.memory_format(2) == torch.contiguous_format


def test_best_precision_is_one_that_the_cpu_multiplies_natively():
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.is_file() else ""
    if "avx512_bf16" in flags or "amx_bf16" in flags:
        assert best_precision("cpu") == "bf16-mixed"
    elif "avx512f" not in flags:
        assert best_precision("cpu") == "32-true"
    with pytest.raises(ValueError, match="did you mean 'cpu'"):
        best_precision("cpuu")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_was_given_back_is_taken_again_without_asking_the_system():
    Performance().apply(UNet(1, 2, base_channels=2, depth=1), 2)
    torch.ones(2**22)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**22)  # 4,096 pages of 4 KiB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 3 * 4096
