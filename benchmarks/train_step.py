"""Seconds of one training step (forward, backward, AdamW), as ratios to the plain fp32 path, in one run.

    python -m benchmarks.train_step                       # this machine's best device
    python -m benchmarks.train_step --base 16 --batch 8

Rounds go in turn through all rows, so that a drift of the machine's speed meets all alike; medians are printed as a
Markdown table. MONAI's BasicUNet has the same channels but keeps twice as many in its last up-sampling, so it stands
as the nearest peer, not as the same network.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime

import torch
from monai.networks.nets import BasicUNet
from torch import nn

from segexp.losses import CrossEntropy
from segexp.models import UNet
from segexp.runs.recorder import processor
from segexp.training.performance import Performance

Step = Callable[[], None]


def make_step(network: nn.Module, performance: Performance, bf16: bool, fused: bool, image: torch.Tensor) -> Step:
    """Prepare one row: a function that takes one optimizer step."""
    network = network.to(image.device).train()
    performance.apply(network, 2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=fused)
    loss, target = CrossEntropy(), torch.randint(2, (image.shape[0], *image.shape[2:]), device=image.device)
    image = image.contiguous(memory_format=performance.memory_format(2))

    def step() -> None:
        precision = torch.autocast(image.device.type, torch.bfloat16) if bf16 else nullcontext()
        with precision:
            value = loss(network(image), target)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def seconds(step: Step, device: torch.device) -> float:
    """Time one step."""
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Measure all rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=int, default=64)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    image = torch.randn(options.batch, 1, options.size, options.size, device=device)
    base = options.base
    plain, fast = Performance(channels_last=False, tf32=False), Performance()
    peer = BasicUNet(2, 1, 2, features=(base, 2 * base, 4 * base, 8 * base, 16 * base, base), norm="batch", act="relu")
    rows = {
        "fp32": make_step(UNet(base_channels=base), plain, False, False, image),
        "fp32, channels last": make_step(UNet(base_channels=base), fast, False, False, image),
        "bf16": make_step(UNet(base_channels=base), plain, True, False, image),
        "bf16, channels last": make_step(UNet(base_channels=base), fast, True, False, image),
        "bf16, channels last, fused AdamW": make_step(UNet(base_channels=base), fast, True, True, image),
        "bilinear, bf16, channels last": make_step(
            UNet(base_channels=base, upsampling="linear"), fast, True, False, image
        ),
        "MONAI BasicUNet, fp32": make_step(peer, plain, False, False, image),
    }
    if options.compile:
        compiled = Performance(compile=True)
        rows["bf16, channels last, compiled"] = make_step(UNet(base_channels=base), compiled, True, False, image)
    for step in rows.values():
        seconds(step, device)
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(options.rounds):
        for name, step in rows.items():
            times[name].append(seconds(step, device))
    report(times, options, device)


def report(times: dict[str, list[float]], options: argparse.Namespace, device: torch.device) -> None:
    """Print machine, setting and the table."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{processor()}, {os.cpu_count()} cores"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {name}, torch {torch.__version__}, Python {platform.python_version()}")
    size = f"{options.size} x {options.size}"
    print(f"base {options.base}, depth 4, batch {options.batch}, {size}, median of {options.rounds}\n")
    print("| path | s / step | time relative to fp32 |\n| --- | ---: | ---: |")
    reference = times["fp32"]
    for row, values in times.items():
        ratio = statistics.median(v / r for v, r in zip(values, reference, strict=True))
        print(f"| {row} | {statistics.median(values):.3f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
