"""How long the data take to the first batch, at the first start and at a second one, by the number of images.

    python -m benchmarks.second_start                 # writes the table into benchmarks/README.md
    python -m benchmarks.second_start --print --counts 100 --rounds 1

Images of 256 x 256 pixels and their masks, PNG, in a folder; each start is a process of its own, with one thread and
files that the system has in memory. Time begins when everything is imported. What is opened among the images and masks
is counted by Python's audit hook.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.tables import machine, publish

SIZE = 256  # px
START = """
import json, sys, time
from pathlib import Path
from segexp.build import build_data
from segexp.config import compose, plain

root, opened = sys.argv[1], set()

def count(event, arguments):
    if event == "open" and str(arguments[0]).startswith((f"{root}/images/", f"{root}/masks/")):
        opened.add(str(arguments[0]))

words = ["data=folder", f"data.source.images={root}/images", f"data.source.masks={root}/masks"]
config = plain(compose([*words, f"paths.cache_dir={root}/cache"], run_dir=root))
sys.addaudithook(count)
begun = time.perf_counter()
data = build_data(config)
data.prepare_data()
data.setup()
next(iter(data.train_dataloader()))
print(json.dumps([time.perf_counter() - begun, len(opened)]))
"""


def make_images(root: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir()
    for number in range(count):
        field = cv2.GaussianBlur(rng.normal(size=(SIZE, SIZE)).astype(np.float32), (0, 0), 6)
        image = np.clip(128 + 1500 * field + 15 * rng.normal(size=field.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / "images" / f"{number:05d}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{number:05d}.png"), (field > 0).astype(np.uint8) * 255)


def start(root: Path) -> tuple[float, int]:
    """Seconds to the first batch, and the number of images and masks that were opened."""
    done = subprocess.run([sys.executable, "-c", START, str(root)], capture_output=True, text=True, check=True)
    seconds, opened = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), int(opened)


def table(counts: list[int], rounds: int) -> str:
    lines = ["| images | first start, s | files opened | second start, s | files opened | ms per image |"]
    lines.append("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            make_images(Path(folder), count)
            first, read = start(Path(folder))
            again = [start(Path(folder)) for _ in range(rounds)]
        seconds, most = statistics.median(each[0] for each in again), max(each[1] for each in again)
        per_image = f"{1000 * seconds / count:.2f}"
        cells = (f"{count:,}", f"{first:.2f}", f"{read:,}", f"{seconds:.2f}", f"{most:,}", per_image)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[20, 200, 2000], help="numbers of images")
    parser.add_argument("--rounds", type=int, default=5, help="second starts, of which the median is taken")
    parser.add_argument("--print", action="store_true", help="only print the table")
    given = parser.parse_args()
    head = f"{machine()}\nimages of {SIZE} x {SIZE} pixels, median of {given.rounds}"
    text = f"{head}\n\n{table(given.counts, given.rounds)}"
    publish("benchmarks.second_start", text, given.print)


if __name__ == "__main__":
    main()
