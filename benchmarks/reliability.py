"""What reliability costs, as ratios measured side by side in one run on one machine.

python -m benchmarks.reliability --megabytes 100
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import torch
from tests.conftest import trained

from segexp.checkpoints.archive import require_checkpoint
from segexp.models import UNet
from segexp.runs.checksums import write_checked
from segexp.runs.claim import claimed
from segexp.training.divergence import Divergence
from segexp.training.loggers import TensorBoard
from segexp.training.saving import CheckpointFiles
from segexp.trust import Foreign, compose_checked

Costs = dict[str, tuple[float, float]]  # by what is measured: seconds with the promise, seconds without


def timed(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, taken in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def claims(folder: Path, rounds: int) -> Costs:
    """Claiming and freeing a folder, beside the bare start of the command line."""

    def claim() -> None:
        with claimed(folder / "run"):
            pass

    words = [sys.executable, "-m", "segexp", "--version"]
    start = lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL)  # noqa: E731
    seconds = timed({"claim": claim, "start": start}, rounds)
    return {"start, with the claim of a folder": (seconds["start"] + seconds["claim"], seconds["start"])}


def checked_words(folder: Path, rounds: int) -> Costs:
    """Composing the overrides of a run that may be a stranger's, beside composing one's own."""
    words = ["model.depth=2", "trainer.max_epochs=3", "data.sampling.batch_size=4"]
    stranger, own = (Foreign(words, folder, folder / "run.json", "", own=own) for own in (False, True))
    ways = {"checked": partial(compose_checked, stranger, [], folder), "own": partial(compose_checked, own, [], folder)}
    seconds = timed(ways, rounds)
    return {"composing the overrides of a stranger": (seconds["checked"], seconds["own"])}


def curves(folder: Path, rounds: int) -> Costs:
    """Flushing the curves at the end of an epoch, beside the shortest epoch that the tests know."""
    logger, points = TensorBoard(str(folder / "curves")), {f"train/{number}": 0.5 for number in range(10)}

    def buffered() -> None:
        with patch.object(logger.experiment, "flush"):
            logger.log_metrics(points, 1)

    seconds = timed({"flushed": lambda: logger.log_metrics(points, 1), "buffered": buffered}, 10 * rounds)
    lines = (trained(folder / "trained", "trainer.max_epochs=3") / "metrics.csv").read_text().splitlines()
    place = lines[0].split(",").index("seconds")
    epoch = statistics.median(float(line.split(",")[place]) for line in lines[1:])
    return {"a tiny epoch, its curves on the disk": (epoch + seconds["flushed"] - seconds["buffered"], epoch)}


def checkpoints(folder: Path, megabytes: int, rounds: int) -> Costs:
    """Writing a checkpoint synced and in two generations, reading it with its CRC; against PyTorch alone."""
    content = {f"weight_{index}": torch.randn(250_000) for index in range(megabytes)}
    saver, path = CheckpointFiles(), folder / "checkpoints" / "last.ckpt"
    plain = folder / "plain.ckpt"
    seconds = timed(
        {
            "write": lambda: saver.save_checkpoint(content, path),
            "write plainly": lambda: torch.save(content, plain),
            "read": lambda: (require_checkpoint(path), torch.load(path, weights_only=True)),
            "read plainly": lambda: torch.load(path, weights_only=True),
        },
        rounds,
    )
    return {
        f"write a checkpoint of {megabytes} MB": (seconds["write"], seconds["write plainly"]),
        f"read a checkpoint of {megabytes} MB": (seconds["read"], seconds["read plainly"]),
    }


def small_files(folder: Path, rounds: int) -> Costs:
    """Writing a record with its checksum, both synced, against writing it plainly."""
    content = b"x" * 60_000
    seconds = timed(
        {
            "checked": lambda: write_checked(folder / "run.json", content),
            "plain": lambda: (folder / "plain.json").write_bytes(content),
        },
        rounds,
    )
    return {"write run.json": (seconds["checked"], seconds["plain"])}


def within_epochs(folder: Path, megabytes: int, rounds: int) -> Costs:
    """A checkpoint every 15 minutes of training."""
    content = {f"weight_{index}": torch.randn(250_000) for index in range(megabytes)}
    saver, path = CheckpointFiles(), folder / "within" / "checkpoints" / "last.ckpt"
    seconds = timed({"save": lambda: saver.save_checkpoint(content, path)}, rounds)["save"]
    return {f"15 minutes of training with a checkpoint of {megabytes} MB": (900 + seconds, 900.0)}


def divergence(rounds: int) -> Costs:
    """A training step in which losses and gradients are looked at; the look, far below a step, is timed alone."""
    network, image = UNet(base_channels=32, depth=3), torch.randn(4, 1, 128, 128)
    optimizer = torch.optim.AdamW(network.parameters())
    module = SimpleNamespace(network=network, step_losses={"loss": torch.zeros(())}, device=torch.device("cpu"))
    trainer = SimpleNamespace(
        precision="32-true",
        current_epoch=0,
        num_training_batches=100,
        is_last_batch=False,
        accumulate_grad_batches=1,
        fit_loop=SimpleNamespace(batch_idx=0),
        strategy=SimpleNamespace(reduce=lambda value, **_: value),
    )
    callback = Divergence()

    def step() -> None:
        optimizer.zero_grad()
        network(image).square().mean().backward()
        optimizer.step()

    def look() -> None:
        callback.on_after_backward(trainer, module)
        callback.on_before_optimizer_step(trainer, module, optimizer)

    seconds = timed({"step": step, "look": look}, rounds)
    return {"a training step, looked at for divergence": (seconds["step"] + seconds["look"], seconds["step"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=100, help="size of the checkpoint; default: 100")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="folder on the disk to measure; default: that of temporary files")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=given.folder))
    try:
        costs = checkpoints(folder, given.megabytes, given.rounds) | small_files(folder, given.rounds)
        costs |= claims(folder, given.rounds) | curves(folder, given.rounds) | checked_words(folder, given.rounds)
        costs |= within_epochs(folder, given.megabytes, given.rounds) | divergence(given.rounds)
    finally:
        shutil.rmtree(folder)
    print("| what | with | without | ratio |\n| --- | ---: | ---: | ---: |")
    for name, (with_it, without) in costs.items():
        print(f"| {name} | {with_it * 1e3:.1f} ms | {without * 1e3:.1f} ms | {with_it / without:.3f} |")


if __name__ == "__main__":
    main()
