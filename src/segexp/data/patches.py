"""Patches for training and whole cases for scoring.

The random numbers of a patch are a pure function of (seed, epoch, position in the epoch): the same patches come out
with any number of workers and processes, and after a resume.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NotRequired, TypedDict, cast

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler, default_collate, get_worker_info

from segexp.data.augmentation.augment import Augment
from segexp.data.case import Case
from segexp.data.declared import Sampling
from segexp.data.intensity.scaling import Intensity
from segexp.data.prepared import Prepared, instance_tensor, spacing_of, target_of, target_tensor
from segexp.data.regions import Regions, region_target
from segexp.data.resample import resize_image


class Patch(TypedDict):
    """A training patch.

    Attributes:
        image: (C, *P) float32.
        target: (*P) int64 of classes, or (R, *P) of regions.
        weight: (*P) float32, where there is a weight map.
    """

    image: torch.Tensor
    target: torch.Tensor
    weight: NotRequired[torch.Tensor]


class Batch(list[Patch]):
    """Patches that lie side by side in the tensors of a whole batch, so that they need not be copied together.

    Attributes:
        whole: The batch: the tensors of a patch, each with one more axis in front.
    """

    def __init__(self, whole: Patch, count: int) -> None:
        tensors = cast("dict[str, torch.Tensor]", whole)
        patches = [{name: tensor[number] for name, tensor in tensors.items()} for number in range(count)]
        super().__init__(cast("list[Patch]", patches))
        self.whole = whole


class WholeCase(Patch):
    """A whole case for scoring; image, target and weight may differ in size where it was resampled.

    Attributes:
        case_index: Position among the cases of its split.
        name: Name of the case.
        spacing: (axes) float64, size of a pixel of the original case.
        instances: (*S) int32, number of the object of each pixel of the original case, where objects are numbered.
    """

    case_index: int
    name: str
    spacing: torch.Tensor
    instances: NotRequired[torch.Tensor]


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
        self.sampling = sampling
        self.augment = augment
        self.seed = seed
        self.context = context
        self.regions = regions
        self._spans = [self._span(prepared.case.image.shape[1:]) for prepared in self.cases]
        small = [index for index, span in enumerate(self._spans) if any(low > high for low, high in span)]
        if small:
            sizes = ", ".join(f"{c.name} {c.image.shape[1:]}" for c in (self.cases[i].case for i in small[:10]))
            raise ValueError(
                f"{len(small)} of {len(self.cases)} training cases are smaller than data.sampling.patch_size="
                f"{list(self.patch_size)}: {sizes}; take smaller patches, or data.sampling.mirror_margin=auto"
            )

    def __getitem__(self, key: tuple[int, int]) -> Patch:
        """Draw the patch of (epoch, position)."""
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """Draw the patches of a batch, each written where it belongs in the tensors of the batch.

        Raises:
            ValueError: The augmentation returns a weight map with some of them alone.
        """
        whole: Patch | None = None
        for number, key in enumerate(keys):
            image, mask, weight, intensity = self._augmented(key)
            target = mask if self.regions is None else region_target(mask, self.regions)
            if whole is None:
                channels = math.prod(image.shape[: -len(self.patch_size)])  # slices of context are channels
                whole = Patch(
                    image=_room(len(keys), (channels, *self.patch_size), torch.float32),
                    target=_room(len(keys), target.shape, torch.int64),
                )
                if weight is not None:
                    whole["weight"] = _room(len(keys), weight.shape, torch.float32)
            if ("weight" in whole) != (weight is not None):
                raise ValueError(
                    "an augmentation returned a weight map with some patches of a batch and none with others: it must "
                    "return one wherever it is given one"
                )
            intensity.standardize(image, out=whole["image"][number].numpy().reshape(image.shape))
            np.copyto(whole["target"][number].numpy(), target, casting="unsafe")
            if weight is not None:
                np.copyto(whole["weight"][number].numpy(), weight, casting="unsafe")
        assert whole is not None, "a batch has a patch at least"
        return Batch(whole, len(keys))

    def _augmented(self, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, Intensity]:
        """Cut and augment the patch of (epoch, position).

        Returns:
            Image (C, *P) in [0, 1], or of slices (C, 2 context + 1, *P); mask (*P); weight map (*P) or None; scaling of
            intensities.
        """
        # Which case, and where in it: anywhere, or centered on a foreground pixel as far as the span allows.
        rng, chosen = self._draw(key)
        prepared = self.cases[chosen]
        span = self._spans[chosen]
        fraction = self.sampling.foreground_fraction
        if fraction and rng.random() < fraction and prepared.foreground_coords:
            coords = prepared.foreground_coords[rng.integers(len(prepared.foreground_coords))]
            size = (1,) * (len(span) - len(self.patch_size)) + self.patch_size
            begin = coords[rng.integers(len(coords))] - np.array(size) // 2
            corner = [int(min(max(b, low), high)) for b, (low, high) in zip(begin, span, strict=True)]
        else:
            corner = [int(low + rng.integers(high - low + 1)) for low, high in span]
        image, mask, weight = self._cut(prepared, corner)
        # Augmentation takes slices of context as channels, in [0, 1]; statistics are those of each channel.
        unit = prepared.intensity.to_unit(image)
        channels = unit.reshape(-1, *self.patch_size)
        spacing = prepared.case.spacing[-len(self.patch_size) :]
        channels, mask, weight = self.augment(channels, mask, weight, rng, spacing)
        return channels.reshape(unit.shape), mask, weight, prepared.intensity

    def case_of(self, key: tuple[int, int]) -> Case:
        """Case that the patch of (epoch, position) is cut from."""
        return self.cases[self._draw(key)[1]].original

    def _draw(self, key: tuple[int, int]) -> tuple[np.random.Generator, int]:
        """Generator of a patch, and which case it is cut from; where in it is drawn next."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, *key]))
        return rng, int(rng.integers(len(self.cases)))

    def _span(self, size: Sequence[int]) -> list[tuple[int, int]]:
        """First and last corner of a patch along each axis of a case; none where it does not fit."""
        sliced = len(size) - len(self.patch_size)
        spans = [(0, n - 1) for n in size[:sliced]]
        for n, p in zip(size[sliced:], self.patch_size, strict=True):
            lack = max(0, p - n) if self.sampling.mirror_margin == "auto" else 2 * int(self.sampling.mirror_margin)
            spans.append((-(lack // 2), n + lack - lack // 2 - p))
        return spans

    def _cut(self, prepared: Prepared, corner: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Cut image (C, *P) or, of slices, (C, 2 context + 1, *P); mask (*P) and weight (*P)."""
        image = prepared.case.image
        mask = target_of(prepared.case)
        weight = prepared.weight
        sliced = len(corner) - len(self.patch_size)
        if sliced:
            # The outermost slices stand for neighbors that the volume lacks.
            near = np.arange(corner[0] - self.context, corner[0] + self.context + 1)
            image = image[:, near.clip(0, image.shape[1] - 1)]
            mask = mask[corner[0]]
            weight = None if weight is None else weight[corner[0]]
        window = (corner[sliced:], self.patch_size)
        return crop(image, *window), crop(mask, *window), None if weight is None else crop(weight, *window)


class CaseDataset(Dataset):
    """Whole cases in order, for scoring; the item says which case it is.

    Args:
        cases: Validation or test cases; they may be made as they are asked for.
        regions: Overlapping regions as targets, name -> classes; None = the classes.
        distance_unit: "px" = every pixel measures 1; "mm" = the spacing of the cases.
    """

    def __init__(self, cases: Sequence[Prepared], regions: Regions | None = None, distance_unit: str = "px") -> None:
        self.cases = cases
        self.regions = regions
        self.distance_unit = distance_unit

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> WholeCase:
        """Return image (C, *S) as the network sees it; target, weight, spacing and instances of the original."""
        prepared = self.cases[index]
        image = prepared.intensity.standardize(prepared.intensity.to_unit(prepared.case.image))
        target = target_of(prepared.original)
        weight = prepared.weight
        if weight is not None and weight.shape != target.shape:
            weight = resize_image(weight[None], target.shape)[0]
        whole: WholeCase = {
            **_tensors(image, target_tensor(target, self.regions), weight),
            "case_index": index,
            "name": prepared.case.name,
            "spacing": spacing_of(prepared.original, self.distance_unit),
        }
        instances = instance_tensor(prepared.original)
        if instances is not None:
            whole["instances"] = instances
        return whole


def together(patches: list[Patch]) -> Patch:
    """Collate the patches of a batch, which lie side by side already."""
    whole: Patch = patches.whole if isinstance(patches, Batch) else default_collate(patches)
    return whole


class PatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, position); with several processes each takes its part of every global batch.

    Args:
        patches: Number of patches per epoch over all processes; a last incomplete batch is left out.
        batch_size: Number of patches per step over all processes.
        rank: Number of this process.
        world_size: Number of processes.

    Raises:
        ValueError: The batch cannot be divided evenly, or an epoch has no batch.
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
        self.patches = patches
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.first = 0

    @property
    def sampler(self) -> "PatchSampler":
        """The sampler itself: Lightning sets the epoch of what a batch sampler draws from, not of the batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def go_on(self, epoch: int, trained: int) -> None:
        """Begin with an epoch of which some batches were trained before; later epochs begin with their first batch."""
        self.epoch, self.first = epoch, trained

    def __len__(self) -> int:
        return self.patches // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        per_process = self.batch_size // self.world_size
        begin, self.first = self.first, 0
        for batch in range(begin, len(self)):
            first = batch * self.batch_size + self.rank * per_process
            yield [(self.epoch, position) for position in range(first, first + per_process)]


def crop(array: np.ndarray, begin: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """Cut (..., *size) from the last axes of (..., *S), mirrored beyond its borders (which are not repeated)."""
    extent = array.shape[-len(size) :]
    # Within the borders the cut is a view; beyond them pixels are picked one by one.
    if all(b >= 0 and b + p <= n for b, p, n in zip(begin, size, extent, strict=True)):
        window: tuple[Any, ...] = tuple(slice(b, b + p) for b, p in zip(begin, size, strict=True))
    else:
        window = np.ix_(*(_mirrored(np.arange(b, b + p), n) for b, p, n in zip(begin, size, extent, strict=True)))
    return array[(..., *window)]


def _mirrored(index: np.ndarray, extent: int) -> np.ndarray:
    """Fold indices beyond an axis of ``extent`` pixels back into it, as numpy.pad's "reflect"."""
    period = max(1, 2 * extent - 2)
    index = np.abs(index) % period
    return np.where(index < extent, index, period - index)


def _room(count: int, size: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Memory for the patches of a batch; a worker takes it where the main process can read it, as torch's collation."""
    room = torch.empty((count, *size), dtype=dtype)
    return room if get_worker_info() is None else room.share_memory_()


def _tensors(image: np.ndarray, target: torch.Tensor, weight: np.ndarray | None) -> Patch:
    tensors = Patch(image=torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)), target=target)
    if weight is not None:
        tensors["weight"] = torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32))
    return tensors
