"""Patches for training and whole cases for scoring.

The random numbers of a patch are a pure function of (seed, epoch, position in the epoch): the same patches come out
with any number of workers and processes, and after a resume.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from segexp.data.augment import Augment
from segexp.data.case import Case
from segexp.data.intensity import Intensity

WeightMap = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Prepared:
    """A decoded case with its intensity rule and, if the loss wants one, its weight map (*S) float32."""

    case: Case
    intensity: Intensity
    weight: np.ndarray | None = None


def prepare(case: Case, weight_map: WeightMap | None = None) -> Prepared:
    """Measure a case once, before training.

    Raises:
        ValueError: The image is not finite; names the case and its files.
    """
    try:
        intensity = Intensity.of(case.image)
    except ValueError as error:
        files = ", ".join(str(f) for f in case.files)
        raise ValueError(f"case {case.name} ({files}): {error}") from error
    return Prepared(case, intensity, None if weight_map is None else weight_map(target_of(case)))


def target_of(case: Case) -> np.ndarray:
    """Truth of a case that must have one.

    Raises:
        ValueError: The case is unlabelled.
    """
    if case.target is None:
        raise ValueError(f"case {case.name} has no truth: it can be predicted, but neither trained on nor scored")
    return case.target


class PatchDataset(Dataset):
    """Random patches; an item is asked for by (epoch, position).

    Args:
        cases: Training cases.
        patch_size: Pixels per spatial axis.
        augment: Applied to image, mask and weight map together.
        seed: Of the run.
        mirror_margin: Pixels by which cases are mirrored on each side before cropping; "auto" = as many as the patch
            needs to fit.

    Raises:
        ValueError: A case is smaller than the patch.
    """

    def __init__(
        self,
        cases: Sequence[Prepared],
        patch_size: Sequence[int],
        augment: Augment,
        seed: int = 0,
        mirror_margin: int | str = 0,
    ) -> None:
        self.patch_size, self.augment, self.seed = tuple(patch_size), augment, seed
        self.cases = [_mirrored(p, self.patch_size, mirror_margin) for p in cases]
        small = [p.case for p in self.cases if any(np.less(p.case.image.shape[1:], self.patch_size))]
        if small:
            sizes = ", ".join(f"{c.name} {c.image.shape[1:]}" for c in small[:10])
            raise ValueError(
                f"{len(small)} of {len(self.cases)} training cases are smaller than data.patch_size="
                f"{list(self.patch_size)}: {sizes}; take smaller patches, or data.mirror_margin=auto"
            )

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Draw the patch: image (C, *P) float32, target (*P) int64, weight (*P) float32 where there is a map."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, *key]))
        prepared = self.cases[rng.integers(len(self.cases))]
        size = prepared.case.image.shape[1:]
        corner = [rng.integers(n - p + 1) for n, p in zip(size, self.patch_size, strict=True)]
        window = tuple(slice(c, c + p) for c, p in zip(corner, self.patch_size, strict=True))
        image = prepared.intensity.to_unit(prepared.case.image[(slice(None), *window)])
        weight = None if prepared.weight is None else prepared.weight[window]
        image, mask, weight = self.augment(image, target_of(prepared.case)[window], weight, rng)
        return _tensors(prepared.intensity.standardise(image), mask, weight)


class CaseDataset(Dataset):
    """Whole cases in order, for scoring; the item says which case it is."""

    def __init__(self, cases: Sequence[Prepared]) -> None:
        self.cases = list(cases)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return image (C, *S), target (*S), case_index, name, and weight (*S) where there is a map."""
        prepared = self.cases[index]
        image = prepared.intensity.standardise(prepared.intensity.to_unit(prepared.case.image))
        item: dict[str, Any] = _tensors(image, target_of(prepared.case), prepared.weight)
        return item | {"case_index": index, "name": prepared.case.name}


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
                f"data.batch_size={batch_size} is the batch over all {world_size} processes: make it a multiple of that"
            )
        if patches < batch_size:
            raise ValueError(f"data.patches_per_epoch={patches} must be at least data.batch_size={batch_size}")
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


def _mirrored(prepared: Prepared, patch_size: tuple[int, ...], margin: int | str) -> Prepared:
    """Mirror a case beyond its border; its intensity rule stays that of the case itself."""
    size = prepared.case.image.shape[1:]
    if margin == "auto":
        lacks = [max(0, p - n) for n, p in zip(size, patch_size, strict=True)]
        pads = [(lack // 2, lack - lack // 2) for lack in lacks]
    else:
        pads = [(int(margin), int(margin))] * len(size)
    if not any(before + after for before, after in pads):
        return prepared
    case = prepared.case
    image = np.pad(case.image, [(0, 0), *pads], mode="reflect")
    target = np.pad(target_of(case), pads, mode="reflect")
    weight = None if prepared.weight is None else np.pad(prepared.weight, pads, mode="reflect")
    wider = Case(case.name, image, target, case.spacing, case.spacing_unit, case.files)
    return Prepared(wider, prepared.intensity, weight)


def _tensors(image: np.ndarray, mask: np.ndarray, weight: np.ndarray | None) -> dict[str, torch.Tensor]:
    tensors = {
        "image": torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)),
        "target": torch.from_numpy(mask.astype(np.int64)),
    }
    if weight is not None:
        tensors["weight"] = torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32))
    return tensors
