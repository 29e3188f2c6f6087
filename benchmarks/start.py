"""How long commands take that compute next to nothing: what is left is loading, in one run on one machine.

    python -m benchmarks.start                 # writes the table into benchmarks/README.md
    python -m benchmarks.start --print --rounds 1

Each command is a process of its own, with one thread and files that the system has in memory; rounds go in turn through
all of them. Beside them stands what any program on PyTorch and Lightning pays, whatever it does.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.sweeps import TINY
from benchmarks.tables import machine, publish

BASE = "import torch"
COMMANDS = {  # row: arguments of Python
    BASE: ["-c", BASE],
    "import torch, pytorch_lightning": ["-c", "import torch, pytorch_lightning"],
    "segexp --help": ["-m", "segexp", "--help"],
    "segexp compare, two runs": ["-m", "segexp", "compare", "one", "two"],
    "segexp predict, one image of 64 x 64": [
        *("-m", "segexp", "predict", "run=one", "input=image.png", "output=predicted", "overwrite=true")
    ],
    "segexp train, two steps": ["-m", "segexp", "train", *TINY, "hydra.run.dir={fresh}"],
}


def seconds(words: list[str], folder: Path, number: int) -> tuple[float, float]:
    """Run a command; return its seconds on the clock and of the processors."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    command = [sys.executable, *(word.format(fresh=f"run{number}") for word in words)]
    before, start = _cpu(), time.perf_counter()
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
    return time.perf_counter() - start, _cpu() - before


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(rounds: int) -> list[str]:
    """Run all commands in turn, several rounds, and return the lines of the table."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "image.png")
        for seed, run in enumerate(("one", "two")):
            seconds(["-m", "segexp", "train", *TINY, f"seed={seed}", f"hydra.run.dir={run}"], folder, 0)
        for number in range(rounds + 1):  # the first one warms the disk
            for row, words in COMMANDS.items():
                took = seconds(words, folder, number)
                print(f"{row}: {took[0]:.2f} s, {took[1]:.2f} s of the processors", flush=True)
                if number:
                    found[row].append(took)
    lines = ["| command | s | processor s | : import torch |", "| --- | ---: | ---: | ---: |"]
    for row, rows in found.items():
        wall, cpu = (statistics.median(part) for part in zip(*rows, strict=True))
        ratio = statistics.median(own[0] / base[0] for own, base in zip(rows, found[BASE], strict=True))
        lines.append(f"| `{row}` | {wall:.2f} | {cpu:.2f} | {ratio:.2f} |")
    return lines


def main() -> None:
    """Measure, then write or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--print", action="store_true", help="leave benchmarks/README.md alone")
    options = parser.parse_args()
    load = f"load of the machine before: {os.getloadavg()[0]:.1f}"
    head = f"{machine()}\nmedian of {options.rounds} rounds; {load}\n\n"
    text = head + "\n".join(measure(options.rounds)) + "\n"
    publish("benchmarks.start", text, options.print)


if __name__ == "__main__":
    main()
