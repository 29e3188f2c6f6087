"""Seconds and peak memory of tiled prediction beside MONAI's sliding_window_inference, in one run on one machine.

    python -m benchmarks.inference
    python -m benchmarks.inference --rounds 7 --threads 2
    python -m benchmarks.inference --large             # 20,000 x 20,000 and 1,024^3 from and to mapped files, alone

Network, tile, overlap (0.25), blending (gaussian), batch and border (none) are the same. Two tasks: from a float32
image in memory to probabilities in memory, and from a uint8 file to a label file. For the second MONAI is given what
its users write: the image as float32, the blended probabilities of all of it, then the class of the highest one; ours
goes block by block. Both average probabilities. Our network is optimized first
(``optimized_for_inference``), which counts as part of ours; columns "MONAI, optimized" give MONAI that same copy.

Each measurement is a process of its own: it predicts one small image to load what is loaded late, notes its resident
memory, predicts (small images three times) and notes the median time and the peak above the memory before. Rounds go in
turn through all; medians are printed as a Markdown table, ratios below 1 mean that segexp needs less. Memory is from
one further process in which the C library gives back at once what is freed (MALLOC_MMAP_THRESHOLD_), so that the peak
is what was held at a time and not what the allocator had not returned. Outputs are seen to be the same before anything
is printed. Linux only (/proc).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from segexp.inference import TiledPredictor, optimized_for_inference, predict_blocks
from segexp.models import UNet
from segexp.prediction.maps import room_for
from segexp.runs.recorder import processor

TASKS = ("probabilities", "labels")
CASES = {  # size, tile, batch, depth and base channels of the network, tasks
    "2-D": ((1024, 1024), 256, 4, 4, 16, TASKS),
    "2-D, batch 1": ((1024, 1024), 256, 1, 4, 16, TASKS),
    "3-D": ((128, 128, 128), 64, 4, 3, 16, TASKS),
    "3-D, batch 1": ((128, 128, 128), 64, 1, 3, 16, TASKS),
    "2-D, large": ((4096, 4096), 256, 4, 4, 16, TASKS[1:]),
    "3-D, large": ((128, 256, 256), 64, 4, 3, 16, TASKS[1:]),
}
WAYS = ("segexp", "MONAI", "MONAI, optimized")
CLASSES, OVERLAP = 3, 0.25
TOLERANCE = 1e-4  # of probabilities
DIFFERENT = 1e-5  # fraction of pixels whose label may differ, where two classes are equally probable

LARGE = {  # shape, tile, of a network with depth 1 and base 2
    "20,000 x 20,000": ((20000, 20000), 512),
    "1,024 x 1,024 x 1,024": ((1024, 1024, 1024), 128),
}


def unit(image: np.ndarray) -> np.ndarray:
    return (image.astype(np.float32) - np.float32(127.5)) / np.float32(74)


def make_network(dims: int, depth: int, base: int) -> nn.Module:
    """A network whose batch norms are as after a training, not 0 and 1."""
    torch.manual_seed(0)
    network = UNet(1, CLASSES, spatial_dims=dims, depth=depth, base_channels=base)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.running_mean, std=0.1)
    return network.eval()


def resident(field: str) -> float:
    """Read a field of this process's memory, in MB: VmRSS, VmHWM or RssAnon."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def monai_probs(network: nn.Module, image: Tensor, tile: int, batch: int) -> Tensor:
    soft = nn.Sequential(network, nn.Softmax(1))
    with torch.inference_mode():
        return sliding_window_inference(image, (tile,) * (image.ndim - 2), batch, soft, OVERLAP, "gaussian")


def monai_labels(network: nn.Module, image: np.ndarray, tile: int, batch: int, out: np.ndarray) -> None:
    probs = monai_probs(network, torch.from_numpy(unit(image))[None], tile, batch)
    out[:] = probs.max(1).indices[0].numpy()  # several times as fast as argmax


def our_probs(network: nn.Module, image: Tensor, tile: int, batch: int) -> Tensor:
    return TiledPredictor(tile, OVERLAP, border=0, batch_size=batch)(network, image)


def our_labels(network: nn.Module, image: np.ndarray, tile: int, batch: int, out: np.ndarray) -> None:
    settings = TiledPredictor(tile, OVERLAP, border=0, batch_size=batch)
    for block in predict_blocks(network, image, unit, settings, spatial_dims=image.ndim - 1):
        out[block.px] = block.probs.max(0).indices.numpy()


def job(way: str, task: str, case: str, folder: Path) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Prepare one measurement: a function that predicts an image of a size and returns the output."""
    size, tile, batch, depth, base, _ = CASES[case]
    network = make_network(len(size), depth, base)
    network = network if way == "MONAI" else optimized_for_inference(network)

    def predict(shape: tuple[int, ...]) -> np.ndarray:
        image = np.memmap(folder / "image", np.uint8, "r", shape=(1, *shape))
        if task == "probabilities":
            probs = our_probs if way == "segexp" else monai_probs
            return probs(network, torch.from_numpy(unit(image))[None], tile, batch).numpy()
        out = np.memmap(folder / "out", np.uint8, "w+", shape=shape)
        (our_labels if way == "segexp" else monai_labels)(network, image, tile, batch, out)
        return out

    return predict


def child(way: str, task: str, case: str, folder: Path, threads: int) -> None:
    """Measure once, in a process of its own; leaves the output in the folder."""
    torch.set_num_threads(threads)
    predict = job(way, task, case, folder)
    size, tile, *_ = CASES[case]
    predict((tile,) * len(size))  # loads what is loaded late
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    seconds, megabytes = [], []
    for _ in range(3 if len(size) == 2 and "large" not in case else 1):
        output = None  # before the next one needs the memory
        start = time.perf_counter()
        output = predict(size)
        seconds.append(time.perf_counter() - start)
        megabytes.append(resident("VmHWM") - before)
    print(json.dumps({"seconds": statistics.median(seconds), "megabytes": megabytes[0]}))
    np.save(folder / f"{way}.npy", output)


def measured(*arguments: str, **environment: str) -> dict[str, float]:
    """Run a process of its own with ``--child way task case folder`` and return what it measured."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.inference", "--child", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    return json.loads(done.stdout.splitlines()[-1])


def require_same(task: str, folder: Path) -> str:
    """Compare the outputs that the ways left, and say how far they are apart."""
    ours, *others = (np.load(folder / f"{way}.npy") for way in WAYS)
    if task == "probabilities":
        apart = max(float(np.abs(ours - other).max()) for other in others)
        assert apart < TOLERANCE, apart
        return f"{apart:.0e}"
    apart = max(float((ours != other).mean()) for other in others)
    assert apart < DIFFERENT, apart
    return f"{apart:.0e} of px"


def table(rounds: int, threads: int, cases: list[str]) -> None:
    head = ["case", "segexp, s", *(f": {peer}" for peer in WAYS[1:]), "segexp, MB", *(f": {peer}" for peer in WAYS[1:])]
    print(f"| {' | '.join([*head, 'largest difference'])} |\n| --- | {' | '.join(['---:'] * len(head))} |")
    for case in cases:
        for task in CASES[case][-1]:
            print(f"| {row(case, task, rounds, threads)} |", flush=True)


def row(case: str, task: str, rounds: int, threads: int) -> str:
    size, tile, batch, *_ = CASES[case]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8).tofile(folder / "image")
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        more = (task, case, str(folder), "--threads", str(threads))
        for _ in range(rounds):
            for way in WAYS:
                seconds[way].append(measured(way, *more)["seconds"])
        megabytes = {way: [measured(way, *more, MALLOC_MMAP_THRESHOLD_="65536")["megabytes"]] for way in WAYS}
        difference = require_same(task, folder)
    cells = [f"{' x '.join(map(str, size))}, tile {tile}, batch {batch}: {task}"]
    for found, digits in ((seconds, 2), (megabytes, 0)):
        cells.append(f"{statistics.median(found['segexp']):.{digits}f}")
        for peer in WAYS[1:]:
            pairs = zip(found["segexp"], found[peer], strict=True)
            cells.append(f"{statistics.median(our / their for our, their in pairs):.2f}")
    return " | ".join([*cells, difference])


class Watch(threading.Thread):
    """Notes the most memory of its own that this process held; the pages of mapped files are the system's."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.over = 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.most = max(self.most, resident("RssAnon"))


def write_blocks(path: Path, shape: tuple[int, ...]) -> None:
    """Write random bytes block by block."""
    generator = np.random.default_rng(0)
    with path.open("wb") as file:
        for _ in range(shape[0]):
            file.write(generator.integers(0, 256, shape[1:], dtype=np.uint8).tobytes())


def large(name: str) -> None:
    """Predict an image and write its labels, both mapped files; print a row."""
    shape, tile = LARGE[name]
    network = optimized_for_inference(make_network(len(shape), depth=1, base=2))
    settings = TiledPredictor(tile, overlap=0.125, batch_size=1)
    with tempfile.TemporaryDirectory() as folder:
        write_blocks(Path(folder) / "image", shape)
        image = np.memmap(Path(folder) / "image", np.uint8, "r", shape=(1, *shape))
        labels = np.memmap(Path(folder) / "labels", np.uint8, "w+", shape=shape)
        before, watch, start = resident("RssAnon"), Watch(), time.perf_counter()
        watch.start()
        room = partial(room_for, dtype=np.float32, folder=Path(folder))  # large overlaps lie in files
        for block in predict_blocks(network, image, unit, settings, spatial_dims=len(shape), room=room):
            labels[block.px] = block.probs.max(0).indices.numpy()
        labels.flush()
        watch.over.set()
    seconds, peak = time.perf_counter() - start, resident("VmHWM")
    whole = 4 * (CLASSES + 1) * float(np.prod(shape)) / 2**20
    figures = f"{seconds:.0f} | {watch.most - before:.0f} | {before:.0f} | {peak:.0f} | {whole:.0f}"
    print(f"| {name}, tile {tile} | {figures} |", flush=True)


def large_table(threads: int) -> None:
    torch.set_num_threads(threads)
    print("UNet depth 1, base 2, 3 classes, overlap 0.125, gaussian, batch 1\n")
    print("| image, uint8 | s | memory taken, MB | before, MB | peak RSS with mapped pages, MB | all in float32, MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for name in LARGE:
        subprocess.run([sys.executable, "-m", "benchmarks.inference", "--one-large", name], check=True)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--large", action="store_true", help="predict images larger than memory; may take minutes")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--one-large", choices=LARGE, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, task, case, folder = options.child
        return child(way, task, case, Path(folder), options.threads)
    if options.one_large:
        return large(options.one_large)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    return large_table(options.threads) if options.large else ours_beside_monai(options)


def ours_beside_monai(options: argparse.Namespace) -> None:
    import monai

    versions = f"torch {torch.__version__}, MONAI {monai.__version__}"
    print(f"{versions}; UNet, {CLASSES} classes, overlap {OVERLAP}, gaussian, border 0")
    print(f"{options.threads} thread(s), median of {options.rounds}; a ratio below 1 means that segexp needs less\n")
    table(options.rounds, options.threads, options.cases)


if __name__ == "__main__":
    main()
