"""Patches per second of every augmentation, beside the same written plainly with albumentations, and beside MONAI.

    python -m benchmarks.data                                  # writes the table into benchmarks/README.md
    python -m benchmarks.data --print --seconds 0.3 --rounds 1 # a quick look
    python -m benchmarks.data --alone                          # the table of augmentation alone, of images and volumes

Synthetic cells (gray, 2-D) in memory; a patch is cut at random, augmented and z-scored. All rows use the same cases,
patch and batch size, uint8 until they are cut; OpenCV and torch have one thread per process, so that workers are the
only parallelism. The three are timed in turn, several rounds; ratios are medians over rounds of patches per second,
segexp : peer.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import albumentations as A
import monai.transforms as mt
import numpy as np
import torch
from hydra.utils import instantiate
from monai.data import CacheDataset, set_track_meta
from scipy import ndimage
from torch.utils.data import DataLoader, Dataset, RandomSampler

from benchmarks.tables import machine, publish
from segexp.build import build_data
from segexp.commands.benchmark import batches_per_second
from segexp.config import compose, config_dir, plain
from segexp.data import Case

ALONE = [(256, 256), (64, 64, 64)]  # patches of augmentation alone
KEYS = ["image", "mask"]
ENDLESS = 10**9
Loader = Callable[[int], Iterable[Any]]


class Plain(Dataset):
    """What one writes by hand: crop, albumentations, z-score. Its draws depend on the number of workers."""

    def __init__(self, cases: list[Case], patch: int, transforms: list[Any]) -> None:
        self.images = [np.ascontiguousarray(np.moveaxis(case.image, 0, -1)) for case in cases]
        self.masks = [case.target for case in cases]
        self.moments = [(image.mean() / 255, image.std() / 255) for image in self.images]
        self.patch, self.augment = patch, A.Compose(transforms)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        top, left = (random.randint(0, n - self.patch) for n in self.masks[index].shape)
        window = slice(top, top + self.patch), slice(left, left + self.patch)
        moved = self.augment(image=self.images[index][window].astype(np.float32) / 255, mask=self.masks[index][window])
        mean, std = self.moments[index]
        image = np.ascontiguousarray(np.moveaxis((moved["image"] - np.float32(mean)) / np.float32(std), -1, 0))
        return {"image": torch.from_numpy(image), "mask": torch.from_numpy(moved["mask"].astype(np.int64))}


def monai_light() -> list[Any]:
    return [
        mt.RandFlipd(KEYS, 0.5, spatial_axis=1),
        mt.RandFlipd(KEYS, 0.5, spatial_axis=0),
        mt.RandRotate90d(KEYS, 0.56),  # never by 0 degrees: 0.75 * 3 / 4
        mt.RandShiftIntensityd("image", 0.1, prob=0.5),
        mt.RandAdjustContrastd("image", 0.5, gamma=(0.8, 1.2)),
    ]


def monai_elastic(prob: float) -> Any:
    spread = {"spacing": (128, 128), "magnitude_range": (5, 10), "padding_mode": "reflection"}
    return mt.Rand2DElasticd(KEYS, prob=prob, mode=("bilinear", "nearest"), **spread)


def monai_elastic_2015() -> list[Any]:
    gray = [mt.RandShiftIntensityd("image", 0.2, prob=0.8), mt.RandAdjustContrastd("image", 0.8, gamma=(0.7, 1.4))]
    return [*monai_light()[:3], monai_elastic(0.5), *gray]


def monai_heavy() -> list[Any]:
    geometry = {"rotate_range": np.pi, "scale_range": 0.2, "shear_range": 0.14, "padding_mode": "reflection"}
    return [
        *monai_light()[:2],
        mt.RandAffined(KEYS, prob=0.8, mode=("bilinear", "nearest"), **geometry),
        monai_elastic(0.5),
        mt.RandShiftIntensityd("image", 0.15, prob=0.8),
        mt.RandAdjustContrastd("image", 0.5, gamma=(0.6, 1.6)),
        mt.RandGaussianNoised("image", 0.4, std=0.08),
        mt.RandGaussianSmoothd("image", (0.3, 1.5), (0.3, 1.5), prob=0.3),
    ]


NEAREST_OF_MONAI: dict[str, Callable[[], list[Any]]] = {
    "none": list,
    "light": monai_light,
    "elastic_2015": monai_elastic_2015,
    "heavy": monai_heavy,
}


def loaders(preset: str, options: argparse.Namespace) -> dict[str, Loader]:
    """Prepare the rows of a preset: functions of the number of workers."""
    size, patch = (f"[{n},{n}]" for n in (options.size, options.patch))
    words = [f"augment={preset}", "data=synthetic", f"data.source.size={size}", f"data.sampling.patch_size={patch}"]
    words += [
        f"data.sampling.batch_size={options.batch}",
        f"data.sampling.patches_per_epoch={ENDLESS}",
        "name=benchmark",
    ]
    config = plain(compose(words, run_dir="unused"))
    data = build_data(config)
    data.prepare_data()
    data.setup()
    cases = [prepared.case for prepared in data.cases("train")]

    def ours(workers: int) -> Iterable[Any]:
        data.sampling = replace(data.sampling, num_workers=workers)
        return data.train_dataloader()

    def shuffled(dataset: Dataset) -> Loader:
        sampler = RandomSampler(dataset, replacement=True, num_samples=ENDLESS)
        return lambda workers: DataLoader(dataset, options.batch, sampler=sampler, num_workers=workers)

    mirrors = {"y": A.VerticalFlip(p=0.5), "x": A.HorizontalFlip(p=0.5)}
    transforms = [mirrors[axis] for axis in config["augment"]["flips"]]
    transforms += instantiate(config["augment"]["transforms"], _convert_="all")
    rows = {"segexp": ours, "albumentations": shuffled(Plain(cases, options.patch, transforms))}
    if preset in NEAREST_OF_MONAI:
        rows["MONAI"] = shuffled(cached(cases, options.patch, NEAREST_OF_MONAI[preset]()))
    return rows


def cached(cases: list[Case], patch: int, transforms: list[Any]) -> Dataset:
    """Cases scaled and z-scored once, then cut and augmented."""
    fixed = [mt.ScaleIntensityd("image"), mt.NormalizeIntensityd("image", channel_wise=True)]
    cut = mt.RandSpatialCropd(KEYS, (patch, patch), random_size=False)
    items = [{"image": case.image.astype(np.float32), "mask": case.target[None].astype(np.int64)} for case in cases]
    return CacheDataset(items, mt.Compose([*fixed, cut, *transforms, mt.ToTensord(KEYS)]), progress=False)


def measure(options: argparse.Namespace) -> list[str]:
    """Time all presets and return the lines of the table."""
    lines = ["| augment | workers | segexp, patches / s | : plain albumentations | : MONAI |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    for preset in presets():
        rows = loaders(preset, options)
        for workers in options.workers:
            rates: dict[str, list[float]] = {name: [] for name in rows}
            for _ in range(options.rounds):
                for name, loader in rows.items():
                    rate = batches_per_second(loader(workers), options.seconds, skip=2 * workers)
                    rates[name].append(rate * options.batch)
            ratios = [ratio(rates["segexp"], rates.get(peer)) for peer in ("albumentations", "MONAI")]
            lines.append(f"| {preset} | {workers} | {statistics.median(rates['segexp']):.0f} | {' | '.join(ratios)} |")
            print(lines[-1], flush=True)
    return lines


def alone(options: argparse.Namespace) -> list[str]:
    """Time the augmentation of single patches, in milliseconds of the processor, and return the lines of the table."""
    lines = [f"| augment | {' | '.join(' x '.join(map(str, size)) for size in ALONE)} |", "| --- | ---: | ---: |"]
    for preset in presets():
        words = [f"augment={preset}", "data=synthetic", "name=benchmark"]
        augment = instantiate(plain(compose(words, run_dir="unused"))["augment"], _convert_="all")
        times = [f"{milliseconds(augment, size, options.seconds):.2f}" for size in ALONE]
        lines.append(f"| {preset} | {' | '.join(times)} |")
        print(lines[-1], flush=True)
    return lines


def milliseconds(augment: Any, size: tuple[int, ...], seconds: float) -> float:
    """Mean time of the processor per patch of a size, one channel, over as many as fit into the seconds."""
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((1, *size), np.float32), (0, *[1] * len(size)))
    mask = (image[0] > 0.5).astype(np.uint8)
    augment(image, mask, None, np.random.default_rng(0))
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        count += 1
        augment(image, mask, None, np.random.default_rng(count))
    return 1000 * (time.process_time() - start) / count


def presets() -> list[str]:
    return sorted(path.stem for path in (config_dir() / "augment").glob("*.yaml"))


def ratio(ours: list[float], theirs: list[float] | None) -> str:
    if theirs is None:
        return "–"
    return f"{statistics.median(a / b for a, b in zip(ours, theirs, strict=True)):.2f}"


def main() -> None:
    """Measure, then write or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels per side of a case")
    parser.add_argument("--patch", type=int, default=256, help="pixels per side of a patch")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=3.0, help="per cell and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--print", action="store_true", help="leave benchmarks/README.md alone")
    parser.add_argument("--alone", action="store_true", help="measure nothing but the augmentation itself")
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_track_meta(False)  # MONAI's faster way
    tables = [
        ("benchmarks.data --alone", alone, f"milliseconds of the processor per patch, over {options.seconds:g} s")
    ]
    if not options.alone:
        sizes = f"cases of {options.size} x {options.size} pixels, patches of {options.patch} x {options.patch}"
        timing = f"batches of {options.batch}, median of {options.rounds} rounds of {options.seconds:g} s"
        tables.insert(0, ("benchmarks.data", measure, f"{sizes}, {timing}"))
    for name, table, how in tables:
        text = f"{machine()}\n{how}\n\n" + "\n".join(table(options)) + "\n"
        publish(name, text, options.print)


if __name__ == "__main__":
    main()
