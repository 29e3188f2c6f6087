"""A whole epoch of `segexp train` beside the bare step: loading, augmentation, logging and checkpoints included.

    python -m benchmarks.epoch                       # writes the table into benchmarks/README.md
    python -m benchmarks.epoch --print --patches 64 --rounds 1

The bare step is one on a batch that stays the same: network, loss, optimizer and precision as the run has them. What an
epoch takes is the wall time of a training of three epochs less that of one, divided by two, with validation taken off
(its seconds stand in metrics.csv). Rounds go in turn; a rate of 1 means that nothing is lost beside the steps.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.tables import machine, publish
from segexp.build import build_data, build_task, build_trainer
from segexp.config import compose, plain
from segexp.training.measure import trial_step

COMMON = ("metrics=overlap", "page=false", "optimizer.lr=1e-3")
ROWS = {
    "2-D, 256 x 256, batch 8, base 16, augment=light": (
        *("data=synthetic", "data.source.size=[512,512]", "data.sampling.patch_size=[256,256]"),
        *("model=unet", "model.base_channels=16", "augment=light", "data.sampling.batch_size=8"),
    ),
    "3-D, 40 x 56 x 40, batch 2, base 12, augment=volume": (
        *("data=hippocampus", "model=unet_3d", "model.base_channels=12", "augment=volume"),
        *("data.sampling.batch_size=2", "data.sampling.patch_size=[40,56,40]"),
    ),
}


def bare_step(words: list[str], seconds: float) -> float:
    """Seconds of a step on the same batch over and over, the median."""
    config = plain(compose(words, run_dir="unused"))
    data, task, trainer = build_data(config), build_task(config), build_trainer(config)
    data.prepare_data()
    data.setup()
    batch = next(iter(data.train_dataloader()))
    optimizer = task.make_optimizer(task.network.parameters())
    task.network.train()
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        start = time.perf_counter()
        trial_step(task, trainer, task.network, optimizer, batch)
        optimizer.zero_grad()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def training(words: list[str], epochs: int, folder: Path) -> tuple[float, float]:
    """Wall seconds of a whole command, and seconds of validation in its epochs."""
    run = folder / f"epochs_{epochs}_{time.time_ns()}"
    start = time.perf_counter()
    command = [sys.executable, "-m", "segexp", "train", *words, f"trainer.max_epochs={epochs}", f"hydra.run.dir={run}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    with (run / "metrics.csv").open(newline="") as file:
        validation = sum(float(row["validation_seconds"]) for row in csv.DictReader(file))
    return seconds, validation


def line(name: str, words: tuple[str, ...], options: argparse.Namespace, folder: Path) -> str:
    more = [*COMMON, *words, f"data.sampling.patches_per_epoch={options.patches}", f"paths.cache_dir={folder}/cache"]
    batch = int(next(word.partition("=")[2] for word in words if word.startswith("data.sampling.batch_size=")))
    bare, whole = [], []
    for _ in range(options.rounds):
        bare.append(batch / bare_step(more, seconds=10))
        (short, first), (long, all_three) = (training(more, epochs, folder) for epochs in (1, 3))
        whole.append(2 * options.patches / (long - short - all_three + first))
    ratio = statistics.median(one / other for one, other in zip(whole, bare, strict=True))
    return f"| {name} | {statistics.median(bare):.2f} | {statistics.median(whole):.2f} | {ratio:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=256, help="per epoch, 256")
    parser.add_argument("--rounds", type=int, default=3, help="3")
    parser.add_argument("--print", action="store_true", help="only print the table")
    options = parser.parse_args()
    load = f"load of the machine before: {os.getloadavg()[0]:.1f}"
    lines = ["| training | bare step, patches / s | whole epoch, patches / s | rate |", "| --- | ---: | ---: | ---: |"]
    with tempfile.TemporaryDirectory() as folder:
        lines += [line(name, words, options, Path(folder)) for name, words in ROWS.items()]
    rounds = f"epochs of {options.patches} patches, median of {options.rounds} rounds; {load}"
    text = f"{machine()}\n{rounds}\n\n" + "\n".join(lines) + "\n"
    publish("benchmarks.epoch", text, options.print)


if __name__ == "__main__":
    main()
