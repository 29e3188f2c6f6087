"""The LightningDataModule: source ► cases ► split ► patches for training, whole cases for scoring."""

import hashlib
import os
from collections.abc import Mapping, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from segexp.data.augment import Augment
from segexp.data.case import Case
from segexp.data.patches import CaseDataset, PatchDataset, PatchSampler, Prepared, WeightMap, prepare
from segexp.data.sources import Source
from segexp.data.splits import Split, contiguous_fold, holdout
from segexp.errors import require_at_least


class DataModule(pl.LightningDataModule):
    """Patches of the training cases, whole validation and test cases.

    Args:
        source: Where the cases come from.
        in_channels: Channels of every image.
        num_classes: Classes, background included.
        spatial_dims: 2 or 3.
        class_names: One name per class.
        object_class: Class whose connected components are the objects (cells), for border weight maps.
        patch_size: Pixels per spatial axis of a training patch.
        patches_per_epoch: Patches that make an epoch, over all processes.
        batch_size: Patches per step, over all processes.
        mirror_margin: See ``PatchDataset``.
        split: {"val": .., "test": ..}, see ``splits.holdout``.
        folds: Number of contiguous folds.
        fold: Which fold is tested; None = the hold-out of ``split``.
        num_workers: Loader processes; "auto" = none on the CPU, else one per core up to 8.
        augment: Augmentation of training patches; None = none.
        weight_map: Computed once per case from its mask, moved along with it; None = none.
        seed: Of the run.

    Raises:
        ValueError: An argument is out of its range; in ``setup``: cases that do not have the declared shape.
    """

    def __init__(
        self,
        source: Source,
        in_channels: int,
        num_classes: int,
        spatial_dims: int,
        class_names: Sequence[str],
        patch_size: Sequence[int],
        object_class: int = 1,
        patches_per_epoch: int = 256,
        batch_size: int = 8,
        mirror_margin: int | str = 0,
        split: Mapping[str, float | int | str] | None = None,
        folds: int = 5,
        fold: int | None = None,
        num_workers: int | str = "auto",
        augment: Augment | None = None,
        weight_map: WeightMap | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if len(class_names) != num_classes:
            raise ValueError(
                f"data.class_names={list(class_names)} must have one name for each of {num_classes} classes"
            )
        if len(patch_size) != spatial_dims:
            raise ValueError(f"data.patch_size={list(patch_size)} must have one length for each of {spatial_dims} axes")
        for length in (*patch_size, batch_size, patches_per_epoch):
            require_at_least("data.patch_size, batch_size and patches_per_epoch", length, 1, whole=True)
        if mirror_margin != "auto":
            require_at_least("data.mirror_margin", mirror_margin, 0, whole=True)
        if num_workers != "auto":
            require_at_least("data.num_workers", num_workers, 0, whole=True)
        self.source, self.class_names = source, list(class_names)
        self.in_channels, self.num_classes, self.spatial_dims = in_channels, num_classes, spatial_dims
        self.object_class, self.patch_size, self.mirror_margin = object_class, tuple(patch_size), mirror_margin
        self.patches_per_epoch, self.batch_size = patches_per_epoch, batch_size
        self.split_spec: dict[str, float | int | str] = {"val": 0.2, "test": 0.0, **(split or {})}
        self.folds, self.fold, self.num_workers = folds, fold, num_workers
        self.augment, self.weight_map, self.seed = augment or Augment(), weight_map, seed
        self._prepared: dict[str, Prepared] = {}

    def prepare_data(self) -> None:
        """Fetch what the source lacks, once per node."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002
        """Read and check all cases once, then split them."""
        if self._prepared:
            return
        names = [entry.name for entry in self.source.entries()]
        val, test = self.split_spec["val"], self.split_spec["test"]
        self.split: Split = (
            holdout(names, val, test) if self.fold is None else contiguous_fold(names, self.folds, self.fold, val)
        )
        cases = [self.source.read(name) for name in names]
        self._check(cases)
        self._prepared = {case.name: prepare(case, self.weight_map) for case in cases}

    def _check(self, cases: list[Case]) -> None:
        for case in cases:
            where = f"case {case.name}" + "".join(f" ({file})" for file in case.files[:1])
            if case.image.shape[0] != self.in_channels or case.image.ndim != self.spatial_dims + 1:
                raise ValueError(
                    f"{where} has shape {case.image.shape} (channels first), but data.in_channels={self.in_channels} "
                    f"and data.spatial_dims={self.spatial_dims}: correct these two, or the source's settings"
                )
            if case.target is not None and case.target.max(initial=0) >= self.num_classes:
                raise ValueError(f"{where} has class {case.target.max()}, but data.num_classes={self.num_classes}")

    def cases(self, side: str) -> list[Prepared]:
        """Cases of a side of the split: "train", "val" or "test"."""
        return [self._prepared[name] for name in getattr(self.split, side)]

    def fingerprint(self) -> str:
        """Hash of the names, images and masks of all cases: equal data, equal fingerprint."""
        digest = hashlib.sha256()
        for name in sorted(self._prepared):
            case = self._prepared[name].case
            for array in (case.image, case.target):
                if array is not None:
                    digest.update(f"{name} {array.dtype} {array.shape}".encode())
                    digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _processes(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _workers(self) -> int:
        if self.num_workers != "auto":
            return int(self.num_workers)
        return min(8, os.cpu_count() or 1) if torch.cuda.is_available() else 0

    def train_dataloader(self) -> DataLoader:
        """Batches of random patches; ``data.batch_size`` counts all processes."""
        dataset = PatchDataset(self.cases("train"), self.patch_size, self.augment, self.seed, self.mirror_margin)
        sampler = PatchSampler(self.patches_per_epoch, self.batch_size, *self._processes())
        workers = self._workers()
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader:
        """Validation cases, one at a time, each on one process."""
        return self._whole("val")

    def test_dataloader(self) -> DataLoader:
        """Test cases, one at a time, each on one process."""
        return self._whole("test")

    def _whole(self, side: str) -> DataLoader:
        dataset = CaseDataset(self.cases(side))
        rank, world_size = self._processes()
        # No padding to equal lengths: each case is scored once, whatever the number of processes.
        return DataLoader(dataset, batch_size=1, sampler=range(rank, len(dataset), world_size))
