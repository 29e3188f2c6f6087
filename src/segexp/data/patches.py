"""Patches for training and whole cases for scoring.

The random numbers of a patch are a pure function of (seed, epoch, position in the epoch): the same patches come out
with any number of workers and processes, and after a resume.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from segexp.data.augmentation.augment import Augment
from segexp.data.case import Case
from segexp.data.declared import Sampling
from segexp.data.prepared import Prepared, spacing_of, target_of, target_tensor
from segexp.data.regions import Regions
from segexp.data.resample import resize_image


class PatchDataset(Dataset):
    """Random patches; an item is asked for by (epoch, position).

    Patches with one axis less than the cases are slices along the first axis of volumes.

    Args:
        cases: Training cases.
        sampling: Size of a patch, and where it may lie.
        augment: Augmentation, applied to image, mask and weight map together.
        seed: Seed of the run.
        context: Number of neighboring slices on each side as further channels.
        regions: Overlapping regions as targets, name -> classes; None = the classes.

    Raises:
        ValueError: A case is smaller than the patch.
    """

    def __init__(
        self,
        cases: Sequence[Prepared],
        sampling: Sampling,
        augment: Augment,
        seed: int = 0,
        context: int = 0,
        regions: Regions | None = None,
    ) -> None:
        self.cases = list(cases)
        self.patch_size = tuple(sampling.patch_size)
        self.mirror_margin = sampling.mirror_margin
        self.foreground_fraction = sampling.foreground_fraction
        self.augment = augment
        self.seed = seed
        self.context = context
        self.regions = regions
        self._spans = [self._span(prepared.case) for prepared in self.cases]
        small = [
            p.case for p, span in zip(self.cases, self._spans, strict=True) if any(low > high for low, high in span)
        ]
        if small:
            sizes = ", ".join(f"{c.name} {c.image.shape[1:]}" for c in small[:10])
            raise ValueError(
                f"{len(small)} of {len(self.cases)} training cases are smaller than data.sampling.patch_size="
                f"{list(self.patch_size)}: {sizes}; take smaller patches, or data.sampling.mirror_margin=auto"
            )

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Draw the patch.

        Returns:
            image (C, *P) float32, target (*P) int64 or (R, *P) of regions, weight (*P) float32 where there is a map.
        """
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, *key]))
        chosen = rng.integers(len(self.cases))
        prepared = self.cases[chosen]
        corner = self._corner(prepared, self._spans[chosen], rng)
        image, mask, weight = self._cut(prepared, corner)
        unit = prepared.intensity.to_unit(image)
        channels = unit.reshape(-1, *self.patch_size)
        channels, mask, weight = self.augment(channels, mask, weight, rng)
        image = prepared.intensity.standardise(channels.reshape(unit.shape)).reshape(channels.shape)
        return _tensors(image, target_tensor(mask, self.regions), weight)

    def _span(self, case: Case) -> list[tuple[int, int]]:
        """First and last corner of a patch along each axis of the case; none where it does not fit."""
        size = case.image.shape[1:]
        sliced = [1] * (len(size) - len(self.patch_size))
        spans = [(0, n - 1) for n in size[: len(sliced)]]
        for n, p in zip(size[len(sliced) :], self.patch_size, strict=True):
            lack = max(0, p - n)
            auto = self.mirror_margin == "auto"
            before, after = (lack // 2, lack - lack // 2) if auto else (int(self.mirror_margin),) * 2
            spans.append((-before, n + after - p))
        return spans

    def _corner(self, prepared: Prepared, span: list[tuple[int, int]], rng: np.random.Generator) -> list[int]:
        """Draw where the patch begins: anywhere, or centred on a foreground pixel as far as the span allows."""
        if self.foreground_fraction and rng.random() < self.foreground_fraction and prepared.spots:
            spots = prepared.spots[rng.integers(len(prepared.spots))]
            sides = (1,) * (len(span) - len(self.patch_size)) + self.patch_size
            begin = spots[rng.integers(len(spots))] - np.array(sides) // 2
            return [int(min(max(b, low), high)) for b, (low, high) in zip(begin, span, strict=True)]
        return [int(low + rng.integers(high - low + 1)) for low, high in span]

    def _cut(self, prepared: Prepared, corner: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Cut image (C, *P) or, of slices, (C, 2 context + 1, *P); mask (*P) and weight (*P)."""
        sliced = len(corner) - len(self.patch_size)
        mask, weight = target_of(prepared.case), prepared.weight
        image = prepared.case.image
        if sliced:
            near = np.arange(corner[0] - self.context, corner[0] + self.context + 1)
            image = image[:, near.clip(0, image.shape[1] - 1)]
            mask, weight = mask[corner[0]], None if weight is None else weight[corner[0]]
        begin = corner[sliced:]
        cut = [None if a is None else crop(a, begin, self.patch_size) for a in (image, mask, weight)]
        return cut[0], cut[1], cut[2]  # type: ignore[return-value]


def crop(array: np.ndarray, begin: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """Cut (..., *size) from the last axes of (..., *S), mirrored beyond its borders (which are not repeated)."""
    extent = array.shape[-len(size) :]
    if all(b >= 0 and b + p <= n for b, p, n in zip(begin, size, extent, strict=True)):
        window: tuple[Any, ...] = tuple(slice(b, b + p) for b, p in zip(begin, size, strict=True))
    else:
        window = np.ix_(*(mirrored(np.arange(b, b + p), n) for b, p, n in zip(begin, size, extent, strict=True)))
    return array[(..., *window)]


def mirrored(index: np.ndarray, extent: int) -> np.ndarray:
    """Fold indices beyond an axis of ``extent`` pixels back into it, as numpy.pad's "reflect"."""
    if extent == 1:
        return np.zeros_like(index)
    index = np.abs(index) % (2 * extent - 2)
    return np.where(index < extent, index, 2 * extent - 2 - index)


class CaseDataset(Dataset):
    """Whole cases in order, for scoring; the item says which case it is.

    Args:
        cases: Validation or test cases.
        regions: Overlapping regions as targets, name -> classes; None = the classes.
        distance_unit: "px" = every pixel measures 1; "mm" = the spacing of the cases.
    """

    def __init__(self, cases: Sequence[Prepared], regions: Regions | None = None, distance_unit: str = "px") -> None:
        self.cases, self.regions, self.distance_unit = list(cases), regions, distance_unit

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return image (C, *S) as the network sees it; target, weight and spacing of the case itself; number, name."""
        prepared = self.cases[index]
        image = prepared.intensity.standardise(prepared.intensity.to_unit(prepared.case.image))
        target, weight = target_of(prepared.own), prepared.weight
        if weight is not None and weight.shape != target.shape:
            weight = resize_image(weight[None], target.shape)[0]
        item: dict[str, Any] = _tensors(image, target_tensor(target, self.regions), weight)
        spacing = spacing_of(prepared.own, self.distance_unit)
        return item | {"case_index": index, "name": prepared.case.name, "spacing": spacing}


class PatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, position); with several processes each takes its part of every global batch.

    Args:
        patches: Patches per epoch over all processes; a last incomplete batch is left out.
        batch_size: Patches per step over all processes.
        rank: This process.
        world_size: Number of processes.

    Raises:
        ValueError: The batch cannot be dealt out evenly, or an epoch has no batch.
    """

    def __init__(self, patches: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if batch_size % world_size:
            raise ValueError(
                f"data.sampling.batch_size={batch_size} is the batch over all {world_size} processes: "
                "make it a multiple of that"
            )
        if patches < batch_size:
            raise ValueError(
                f"data.sampling.patches_per_epoch={patches} must be at least data.sampling.batch_size={batch_size}"
            )
        self.patches, self.batch_size, self.rank, self.world_size = patches, batch_size, rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.patches // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        share = self.batch_size // self.world_size
        for batch in range(len(self)):
            first = batch * self.batch_size + self.rank * share
            yield [(self.epoch, position) for position in range(first, first + share)]


def _tensors(image: np.ndarray, target: torch.Tensor, weight: np.ndarray | None) -> dict[str, torch.Tensor]:
    tensors = {
        "image": torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)),
        "target": target,
    }
    if weight is not None:
        tensors["weight"] = torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32))
    return tensors
