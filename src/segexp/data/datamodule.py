"""The LightningDataModule: source ► cases ► split ► patches for training, whole cases for scoring."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from segexp.data.audit import Audit, audit
from segexp.data.augmentation.augment import Augment
from segexp.data.cache import CaseCache, settings_of
from segexp.data.case import Case, Entry, slices_first, unlabelled_outside
from segexp.data.declared import require_as_declared, require_names, require_sizes, require_slices
from segexp.data.description import DataDescription
from segexp.data.intensity.rules import IntensityRule, ZScore
from segexp.data.patches import CaseDataset, PatchDataset, PatchSampler
from segexp.data.prepared import UNITS, Prepared, WeightMap, prepare, target_of
from segexp.data.regions import Regions, pixel_counts, require_regions
from segexp.data.resample import has_spacing, resample
from segexp.data.sources import Source, label_values
from segexp.data.splits import Split, make_split
from segexp.errors import require_at_least, require_choice


class DataModule(pl.LightningDataModule):
    """Patches of the training cases, whole validation and test cases.

    Args:
        source: Where the cases come from.
        channels: Channels of every image.
        num_classes: Classes, background included.
        spatial_dims: Of the network: 3 takes volumes, 2 takes images, and volumes slice by slice.
        class_names: One name per class.
        regions: Overlapping regions that the network learns in place of the classes, name -> classes; None = none.
        patch_size: Pixels per spatial axis of a training patch.
        object_class: Class whose connected components are the objects (cells), for border weight maps.
        context: Neighbouring slices on each side as further channels (2.5-D): the network has
            channels * (2 context + 1) input channels.
        slice_axis: Axis of volumes along which slices lie: 0, 1 or 2 of (D, H, W).
        spacing: Size of a pixel per axis to which images are brought for the network, in the cases' unit; "median" = of
            the training cases; None = as they are. Scores are always those of the cases as they are.
        distance_unit: Of distances and volumes among the scores: "mm" as the files tell, or "px", each pixel 1.
        patches_per_epoch: Patches that make an epoch, over all processes.
        batch_size: Patches per step, over all processes.
        mirror_margin: See ``PatchDataset``.
        foreground_share: See ``PatchDataset``.
        split: {"method": .., "val": .., "test": .., "seed": .., "lists": ..}, see ``splits.make_split``.
        folds: Number of folds.
        fold: Which fold is tested; None = the hold-out of ``split``.
        train_fraction: Share of the training cases that is used; smaller shares are parts of larger ones.
        num_workers: Loader processes; "auto" = none on the CPU, else one per core up to 8.
        intensity: From gray values to the network's; None = z-score per case.
        augment: Augmentation of training patches; None = none.
        weight_map: Computed once per case from its mask, moved along with it; None = none.
        cache: Of decoded cases; None = decode anew each time, into memory.
        seed: Of the run.

    Raises:
        ValueError: An argument is out of its range; in ``setup``: cases that cannot be used, all of them at once.
    """

    def __init__(
        self,
        source: Source,
        channels: int,
        num_classes: int,
        spatial_dims: int,
        class_names: Sequence[str],
        patch_size: Sequence[int],
        regions: Regions | None = None,
        object_class: int = 1,
        context: int = 0,
        slice_axis: int = 0,
        spacing: Sequence[float] | str | None = None,
        distance_unit: str = "px",
        patches_per_epoch: int = 256,
        batch_size: int = 8,
        mirror_margin: int | str = 0,
        foreground_share: float = 0.0,
        split: Mapping[str, Any] | None = None,
        folds: int = 5,
        fold: int | None = None,
        train_fraction: float = 1.0,
        num_workers: int | str = "auto",
        intensity: IntensityRule | None = None,
        augment: Augment | None = None,
        weight_map: WeightMap | None = None,
        cache: CaseCache | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_names(class_names, num_classes)
        require_regions(regions, class_names)
        require_sizes(patch_size, spatial_dims, batch_size, patches_per_epoch)
        require_slices(spatial_dims, context, slice_axis)
        require_choice("data.distance_unit", distance_unit, UNITS)
        require_at_least("data.foreground_share", foreground_share, 0)
        if foreground_share > 1:
            raise ValueError(f"data.foreground_share={foreground_share} must be a share from 0 to 1")
        if mirror_margin != "auto":
            require_at_least("data.mirror_margin", mirror_margin, 0, integer=True)
        if num_workers != "auto":
            require_at_least("data.num_workers", num_workers, 0, integer=True)
        self.source, self.class_names, self.regions = source, list(class_names), regions
        self.channels, self.num_classes, self.spatial_dims = channels, num_classes, spatial_dims
        self.object_class, self.patch_size, self.mirror_margin = object_class, tuple(patch_size), mirror_margin
        self.context, self.slice_axis, self.spacing = context, slice_axis, spacing
        self.distance_unit = distance_unit
        self.patches_per_epoch, self.batch_size = patches_per_epoch, batch_size
        self.foreground_share = foreground_share
        self.split_settings = {**(split or {}), "folds": folds, "fold": fold, "train_fraction": train_fraction}
        self.num_workers, self.seed = num_workers, seed
        self.intensity, self.augment, self.weight_map = intensity or ZScore(), augment or Augment(), weight_map
        self.cache = cache or CaseCache(None)
        self._prepared: dict[str, Prepared] = {}
        self._fingerprint = ""

    def prepare_data(self) -> None:
        """Fetch what the source lacks, once per node."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002
        """Audit and split all cases once, and measure them; ``found`` is what the audit found.

        Raises:
            ValueError: The audit found errors; names all of them.
        """
        if self._prepared:
            return
        entries = self.source.entries()
        self.found, own = self._audited(entries)
        self.found.raise_errors()
        assert self.found.split is not None
        self.split: Split = self.found.split
        self._resolve_spacing([own[name] for name in self.split.train])
        sides = {*self.split.train, *self.split.val, *self.split.test}
        cases = {entry.name: self._resampled(entry, own[entry.name]) for entry in entries if entry.name in sides}
        self.intensity.fit([cases[name] for name in self.split.train])
        for name, case in cases.items():
            turned = slices_first(case, self.slice_axis)
            turned_own = turned if case is own[name] else slices_first(own[name], self.slice_axis)
            spots = self.foreground_share > 0 and name in self.split.train
            self._prepared[name] = prepare(turned, self.intensity, self.weight_map, turned_own, spots)
        self.cache.trim()

    def audit(self) -> tuple[Audit, dict[str, Case]]:
        """Read every case, from the cache where possible; tell what is wrong, and give the cases that can be used."""
        return self._audited(self.source.entries())

    def _audited(self, entries: Sequence[Entry]) -> tuple[Audit, dict[str, Case]]:
        settings = settings_of(self.source)
        cases: dict[str, Case] = {}
        digests = []

        def read(entry: Entry) -> Case:
            decode = partial(_decode, self.source, entry.name)
            cases[entry.name], digest = self.cache.case(entry, settings, decode)
            digests.append(f"{entry.name} {digest}")
            return cases[entry.name]

        split = partial(make_split, entries, **self.split_settings)
        handled = ["class imbalance"] * (self.foreground_share > 0) + ["pixel sizes"] * (self.spacing is not None)
        found = audit(entries, read, self._check, split, self.class_names, handled)
        self._fingerprint = hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
        return found, cases

    def _resolve_spacing(self, cases: Sequence[Case]) -> None:
        if isinstance(self.spacing, str):
            if self.spacing != "median":
                raise ValueError(f"data.spacing={self.spacing!r} must be one size per axis, median or null")
            self.spacing = [float(s) for s in np.median([case.spacing for case in cases], axis=0)]

    def _resampled(self, entry: Entry, own: Case) -> Case:
        """Bring a case to the network's spacing, from the cache where it can."""
        if self.spacing is None:
            return own
        spacing = [float(s) for s in self.spacing]
        if has_spacing(own, spacing):
            return own
        settings = settings_of(self.source) | {"spacing": spacing}
        return self.cache.case(entry, settings, lambda: resample(own, spacing))[0]

    def _check(self, case: Case) -> None:
        """Refuse a case that is not as declared."""
        require_as_declared(case, self.channels, self.num_classes, self.spatial_dims, self.context, self.distance_unit)

    def cases(self, side: str) -> list[Prepared]:
        """Cases of a side of the split: "train", "val" or "test"."""
        return [self._prepared[name] for name in getattr(self.split, side)]

    def class_counts(self) -> torch.Tensor:
        """Pixels inside, and pixels labelled, of each class or region in the training cases: (K, 2) int64."""
        targets = [target_of(prepared.case) for prepared in self.cases("train")]
        return torch.from_numpy(np.sum([pixel_counts(t, self.num_classes, self.regions) for t in targets], axis=0))

    def fingerprint(self) -> str:
        """Hash of the names, images and masks of all cases: equal data, equal fingerprint."""
        return self._fingerprint

    def description(self) -> DataDescription:
        """Describe how images become what the network sees; part of the checkpoint."""
        return DataDescription(
            class_names=self.class_names,
            label_values=list(label_values(self.source, self.num_classes)),
            regions=None if self.regions is None else {name: list(part) for name, part in self.regions.items()},
            channels=self.channels,
            spatial_dims=self.spatial_dims,
            context=self.context,
            slice_axis=self.slice_axis,
            spacing=None if self.spacing is None else [float(s) for s in self.spacing],
            distance_unit=self.distance_unit,
            patch_size=list(self.patch_size),
            intensity=self.intensity.description(),
            field_of_view=getattr(self.source, "field_of_view", None),
        )

    def _processes(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _workers(self) -> int:
        if self.num_workers != "auto":
            return int(self.num_workers)
        return min(8, os.cpu_count() or 1) if torch.cuda.is_available() else 0

    def train_dataloader(self) -> DataLoader:
        """Batches of random patches; ``data.batch_size`` counts all processes."""
        dataset = PatchDataset(
            self.cases("train"),
            self.patch_size,
            self.augment,
            self.seed,
            self.mirror_margin,
            self.foreground_share,
            self.context,
            self.regions,
        )
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
        dataset = CaseDataset(self.cases(side), self.regions, self.distance_unit)
        rank, world_size = self._processes()
        # No padding to equal lengths: each case is scored once, whatever the number of processes.
        return DataLoader(dataset, batch_size=1, sampler=range(rank, len(dataset), world_size))


def _decode(source: Source, name: str) -> Case:
    return unlabelled_outside(source.read(name))
