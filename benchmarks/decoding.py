"""Time to read an image, beside Pillow's and OpenCV's bare decoding of the same file.

    python -m benchmarks.decoding             # writes the table into benchmarks/README.md
    python -m benchmarks.decoding --print

Seconds of the processor, so that neighbors on the machine do not count; the three take turns, and ratios are medians
over rounds of time, segexp : peer. Pillow and OpenCV turn, scale or cut what they cannot hold.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

from benchmarks.tables import publish
from segexp.data.files.images import read_image
from segexp.runs.recorder import processor

SIDE = 1024
PEERS: dict[str, Callable[[Path], object]] = {
    "segexp": lambda path: read_image(path, 3),
    "Pillow": lambda path: np.asarray(Image.open(path)),
    "OpenCV": lambda path: cv2.imread(str(path), cv2.IMREAD_UNCHANGED),
}


def files(folder: Path) -> dict[str, Path]:
    """Write smooth colors in the usual formats."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(SIDE, SIDE, 3)), (8, 8, 0))
    pixels = ((noise - noise.min()) / np.ptp(noise) * 255).astype(np.uint8)
    found = {"PNG": folder / "a.png", "PNG, 16 bits": folder / "b.png", "JPEG": folder / "a.jpg"}
    Image.fromarray(pixels).save(found["PNG"])
    cv2.imwrite(str(found["PNG, 16 bits"]), pixels.astype(np.uint16) * 257)
    Image.fromarray(pixels).save(found["JPEG"], quality=95)
    for name in ("none", "lzw", "zlib", "jpeg"):
        found[f"TIFF, {name}"] = folder / f"{name}.tif"
        tifffile.imwrite(folder / f"{name}.tif", pixels, photometric="rgb", compression=name, rowsperstrip=64)
    return found


def seconds(decode: Callable[[Path], object], path: Path, times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        decode(path)
    return (time.process_time() - start) / times


def measure(rounds: int, times: int) -> str:
    lines = [f"| {SIDE} x {SIDE}, RGB | ms | : Pillow | : OpenCV |", "| --- | ---: | ---: | ---: |"]
    with tempfile.TemporaryDirectory() as folder:
        for name, path in files(Path(folder)).items():
            found = [{peer: seconds(decode, path, times) for peer, decode in PEERS.items()} for _ in range(rounds)]
            ratios = [statistics.median(row["segexp"] / row[peer] for row in found) for peer in ("Pillow", "OpenCV")]
            took = statistics.median(row["segexp"] for row in found) * 1000
            lines.append(f"| {name} | {took:.1f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, then write or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=5, help="per round and file")
    parser.add_argument("--print", action="store_true", help="leave benchmarks/README.md alone")
    given = parser.parse_args()
    table = measure(given.rounds, given.times)
    text = f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, median of {given.rounds} rounds\n\n{table}\n"
    publish("benchmarks.decoding", text, given.print)


if __name__ == "__main__":
    main()
