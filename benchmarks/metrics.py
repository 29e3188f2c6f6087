"""Milliseconds that metrics take to measure a case, beside MONAI and torchmetrics, in one run on one machine.

    python -m benchmarks.metrics                            # writes the table into benchmarks/README.md
    python -m benchmarks.metrics --print --rounds 7 --threads 2

A case has three classes: background, an ellipsoid and another inside it, with a wavy surface. The prediction is another
waviness ("trained") or a class at random per voxel ("untrained", as before the first epoch). Every row starts from the
same probabilities and class indices; what a peer wants (class indices, one-hot masks) is part of its time. The three
surface metrics of MONAI find borders and distances each for itself; ours come from one pass. Our overlap is four
counts, theirs the Dice alone. Before they are timed, all are seen to give the same figures. Rounds go in turn through
all, medians make a Markdown table; a ratio above 1 means that segexp is faster.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import monai
import numpy as np
import torch
import torchmetrics
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance
from monai.metrics import compute_surface_dice as monai_surface_dice
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn.functional import one_hot
from torchmetrics.functional.segmentation import dice_score

from benchmarks.tables import machine, publish
from segexp.metrics import OverlapScores, SurfaceScores

SIZES = {(35, 50, 36): (1.0, 1.0, 1.0), (256, 256, 64): (0.8, 0.8, 2.5)}
NAMES = ["background", "whole", "core"]
Measure = Callable[[Tensor, Tensor, Tensor], Tensor]


def ellipsoids(size: tuple[int, ...], generator: np.random.Generator) -> Tensor:
    """Class indices (1, *S): 1 in an ellipsoid, 2 in a smaller one inside it."""
    axes = np.ogrid[tuple(slice(extent) for extent in size)]
    radius = np.sqrt(sum(((x - n / 2) / (0.4 * n)) ** 2 for x, n in zip(axes, size, strict=True)))
    waves = gaussian_filter(generator.standard_normal(size), 2.0)
    radius += 0.05 * waves / waves.std()
    return torch.from_numpy(np.digitize(-radius, [-1.0, -0.6]))[None]


def case(size: tuple[int, ...], trained: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities (1, 3, *S), class indices (1, *S) and spacing (1, 3)."""
    generator = np.random.default_rng(0)
    target = ellipsoids(size, generator)
    pred = ellipsoids(size, generator) if trained else torch.from_numpy(generator.integers(0, 3, (1, *size)))
    probs = 0.1 + 0.7 * one_hot(pred, 3).movedim(-1, 1).float()
    return probs.contiguous(), target, torch.tensor([SIZES[size]], dtype=torch.float64)


def masks(labels: Tensor) -> Tensor:
    return one_hot(labels, 3).movedim(-1, 1)


def monai_surface(probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:
    pred, truth, size = masks(probs.argmax(dim=1)), masks(target), spacing.tolist()
    figures = [
        compute_hausdorff_distance(pred, truth, percentile=95, spacing=size),
        compute_average_surface_distance(pred, truth, symmetric=True, spacing=size),
        monai_surface_dice(pred, truth, [1.0, 1.0], spacing=size),
    ]
    return torch.stack(figures, dim=2)


def monai_dice(probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:  # noqa: ARG001
    return compute_dice(masks(probs.argmax(dim=1)), masks(target), include_background=False)


def torchmetrics_dice(probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:  # noqa: ARG001
    options = {"num_classes": 3, "include_background": False, "average": "none", "input_format": "index"}
    return dice_score(probs.argmax(dim=1), target, aggregation_level="samplewise", **options)


def dice(counts: Tensor) -> Tensor:
    """Dice (B, K) of the counts (B, K, 11, 7), of which those of the whole case begin with TP, FP, FN."""
    tp, fp, fn = counts[:, :, 0, :3].unbind(dim=2)
    return 2 * tp / (2 * tp + fp + fn)


def medians(ways: dict[str, Measure], inputs: tuple[Tensor, Tensor, Tensor], rounds: int) -> dict[str, list[float]]:
    """Time all ways in turn: milliseconds of each round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            start = time.perf_counter()
            measure(*inputs)
            times[name].append(1e3 * (time.perf_counter() - start))
    return times


def line(what: str, times: dict[str, list[float]]) -> str:
    ours = times["segexp"]
    cells = [f"{statistics.median(ours):.1f}"]
    for peer in ("MONAI", "torchmetrics"):
        ratios = [theirs / our for theirs, our in zip(times.get(peer, []), ours, strict=False)]
        cells.append(f"{statistics.median(ratios):.2f}" if ratios else "–")
    return f"| {what} | {' | '.join(cells)} |"


def table(rounds: int) -> str:
    """Measure all rows; results are seen to be the same first."""
    surface, overlap = SurfaceScores(NAMES), OverlapScores(NAMES)
    lines = ["| what | segexp, ms / case | : MONAI | : torchmetrics |", "| --- | ---: | ---: | ---: |"]
    for size in SIZES:
        for trained in (True, False):
            inputs = case(size, trained)
            name = f"{' x '.join(map(str, size))}, {'trained' if trained else 'untrained'}"
            ways: dict[str, Measure] = {"segexp": surface.measure, "MONAI": monai_surface}
            torch.testing.assert_close(surface.measure(*inputs).float(), monai_surface(*inputs), rtol=1e-4, atol=1e-4)
            lines.append(line(f"HD95, ASSD, NSD; {name}", medians(ways, inputs, rounds)))
            ways = {"segexp": overlap.measure, "MONAI": monai_dice, "torchmetrics": torchmetrics_dice}
            for peer in (monai_dice, torchmetrics_dice):
                torch.testing.assert_close(dice(overlap.measure(*inputs)), peer(*inputs), rtol=1e-4, atol=1e-4)
            lines.append(line(f"overlap; {name}", medians(ways, inputs, rounds)))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of torch; scipy has one")
    parser.add_argument("--print", action="store_true", help="only print the table")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", FutureWarning)  # of what MONAI calls itself
    peers = f"MONAI {monai.__version__}, torchmetrics {torchmetrics.__version__}"
    settings = f"3 classes, {options.threads} thread(s), median of {options.rounds}"
    text = f"{machine()}\n{peers}; {settings}\n\n{table(options.rounds)}"
    publish("benchmarks.metrics", text, options.print)


if __name__ == "__main__":
    main()
