"""The LightningDataModule: source ► cases ► split ► patches for training, whole cases for scoring."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from segexp.data.audit import Audit, audit
from segexp.data.audit.measures import Content, content_of
from segexp.data.augmentation.augment import Augment
from segexp.data.cache import CaseCache, Measured, content_digest, digest_of, settings_of
from segexp.data.case import Case, Entry, slices_first, unlabeled_outside
from segexp.data.declared import Geometry, Labels, Origin, Sampling, require_as_declared
from segexp.data.description import DataDescription
from segexp.data.intensity.named import is_described
from segexp.data.intensity.rules import IntensityRule, ZScore
from segexp.data.intensity.scaling import Intensity
from segexp.data.patches import CaseDataset, PatchDataset, PatchSampler, together
from segexp.data.prepared import Prepared, WeightMap, corrected, intensity_of_case, prepare, target_of
from segexp.data.reference import Reference, levels_of, reference_of
from segexp.data.regions import pixel_counts
from segexp.data.resample import resample
from segexp.data.sources import Source, label_values, left_out
from segexp.data.spacing import has_spacing, spacing_of_network
from segexp.data.splits import Split, SplitSettings, make_split, without_excluded


class DataModule(pl.LightningDataModule):
    """Patches of the training cases, whole validation and test cases.

    Args:
        source: Source of the cases.
        channels: Number of channels of every image.
        labels: Classes or regions that the masks hold.
        geometry: Axes and pixel sizes of what the network sees.
        sampling: How training patches are drawn and batched.
        split: How cases are split; None = the defaults.
        intensity: Rule from the files' intensities to the network's; None = z-score per case.
        augment: Augmentation of training patches; None = none.
        weight_map: Weight map, computed once per case from its mask and moved along with it; None = none.
        cache: Cache of decoded cases; None = decode anew each time, into memory.
        origin: Where the data set comes from, for the message that it is missing; None = it is the user's own.
        seed: Seed of the run.

    Raises:
        ValueError: The patch has another number of axes than the network; in ``setup``: cases that cannot be used, all
            of them at once.
    """

    def __init__(
        self,
        source: Source,
        channels: int,
        labels: Labels,
        geometry: Geometry,
        sampling: Sampling,
        split: SplitSettings | None = None,
        intensity: IntensityRule | None = None,
        augment: Augment | None = None,
        weight_map: WeightMap | None = None,
        cache: CaseCache | None = None,
        origin: Origin | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if len(sampling.patch_size) != geometry.spatial_dims:
            raise ValueError(
                f"data.sampling.patch_size={list(sampling.patch_size)} must have one length for each of "
                f"{geometry.spatial_dims} axes"
            )
        self.source = source
        self.channels = channels
        self.labels = labels
        self.geometry = geometry
        self.sampling = sampling
        self.split_settings = split or SplitSettings()
        self.intensity = intensity or ZScore()
        self.augment = augment or Augment()
        self.weight_map = weight_map
        self.cache = cache or CaseCache(None)
        self.origin = origin
        self.seed = seed
        self._prepared: dict[str, Prepared] = {}
        self._read_cases: dict[str, Case] = {}  # those that are used, as the source has them
        self._fingerprint = ""
        self._digests: dict[str, str] = {}  # of the cases that were read
        self._measured = Measured(None)
        self._rule = ""  # name of what an intensity rule of ours measures; that of others is measured at each start
        self._reference: Reference | None = None  # known once the cases are read

    def prepare_data(self) -> None:
        """Fetch what the source lacks, once per node.

        Raises:
            FileNotFoundError: Files are missing; says what to do.
        """
        try:
            self.source.prepare()
        except FileNotFoundError as error:
            if self.origin is None:
                raise
            self.origin.supply(self.source.prepare, error)

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002
        """Audit and split all cases once, and measure them; ``report`` is what the audit found.

        Raises:
            ValueError: The audit found errors; names all of them.
        """
        if self._prepared:
            return
        self.report, originals = self.audit()
        self.report.raise_errors()
        assert self.report.split is not None
        self.split: Split = self.report.split
        # Spacing and intensities may depend on the training cases.
        if self.geometry.spacing == "median":
            median = np.median([originals[name].spacing for name in self.split.train], axis=0)
            self.geometry = replace(self.geometry, spacing=[float(size) for size in median])
        used = {*self.split.train, *self.split.val, *self.split.test}
        cases = {e.name: self._at_network(e, originals[e.name]) for e in self._entries if e.name in used}
        self.intensity.fit([cases[name][0] for name in self.split.train])
        if is_described(self.intensity):
            self._rule = f"intensity by {digest_of(self.intensity.description())}"
        self._read_cases = {name: originals[name] for name in cases}
        for name, (case, digest) in cases.items():
            coords = self.sampling.foreground_fraction > 0 and name in self.split.train
            self._prepared[name] = self._prepare(case, originals[name], coords, digest)
        training = [self._prepared[name].original for name in self.split.train]
        levels = [self._known("levels", self._digests[case.name], partial(levels_of, case)) for case in training]
        self._reference = reference_of(training, levels)
        self._measured.keep()
        self.cache.trim()

    def audit(self) -> tuple[Audit, dict[str, Case]]:
        """Read every case, from the cache where possible; tell what is wrong, and give the cases that can be used."""
        self._entries = without_excluded(self.source.entries(), self.split_settings)
        self._settings = settings_of(self.source)
        self._measured = self.cache.measured(self._settings)
        cases: dict[str, Case] = {}
        digests: dict[str, str] = {}

        def read(entry: Entry) -> Case:
            cases[entry.name], digests[entry.name] = self._read(entry)
            return cases[entry.name]

        def check(case: Case) -> None:
            require_as_declared(case, self.channels, self.labels.num_classes, self.geometry)

        def content(case: Case, classes: int) -> Content:
            measure = partial(content_of, case, classes)
            known = self._measured.of(digests[case.name], f"content of {classes} classes", lambda: vars(measure()))
            return Content(**known)

        split = partial(make_split, self._entries, self.split_settings)
        handled = ["class imbalance"] if self.sampling.foreground_fraction > 0 else []
        if self.geometry.spacing is not None:
            handled += ["pixel sizes", "oblong pixels", "anisotropy"]
        if self.geometry.spatial_dims == 2:
            handled.append("anisotropy")  # slices are taken one by one
        names = self.labels.class_names
        report = audit(self._entries, read, check, split, names, handled, left_out(self.source), content)
        self._measured.keep()
        self._digests = digests
        lines = sorted(f"{name} {digest}" for name, digest in digests.items())
        self._fingerprint = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return report, cases

    def _read(self, entry: Entry) -> tuple[Case, str]:
        """Read a case, from the cache where it can; return its digest, too."""
        if getattr(self.source, "content_in_files", True):
            return self.cache.case(entry, self._settings, partial(self._decoded, entry))
        case = self._decoded(entry)
        return self.cache.case(entry, self._settings | {"content": content_digest(case)}, lambda: case)

    def _decoded(self, entry: Entry) -> Case:
        """Read a case from its files, under the name of its entry, whatever the source calls it."""
        return unlabeled_outside(replace(self.source.read(entry.name), name=entry.name))

    def _at_network(self, entry: Entry, original: Case) -> tuple[Case, str]:
        """Bring a case to the network's spacing and correct its pixels, each from the cache where it can.

        Returns:
            The case, and its digest.
        """
        case, digest, settings = original, self._digests[entry.name], dict(self._settings)
        if not getattr(self.source, "content_in_files", True):
            settings["content"] = self._digests[entry.name]
        spacing = spacing_of_network(original, self.geometry.sizes, self.geometry.spacing_unit)
        if spacing is not None and not has_spacing(original, spacing):
            settings["spacing"] = spacing
            case, digest = self.cache.case(entry, settings, lambda: resample(original, spacing))
        if self.intensity.corrects:
            settings["correction"] = self.intensity.description()
            cache = self.cache if is_described(self.intensity) else CaseCache(None)
            case, digest = cache.case(entry, settings, partial(corrected, case, self.intensity))
        return case, digest

    def _prepare(self, case: Case, original: Case, coords: bool = False, digest: str = "") -> Prepared:
        """Bring the slices of a case to the front, and measure it; with a digest what was measured before is taken."""
        turned = slices_first(case, self.geometry.slice_axis)
        turned_original = turned if case is original else slices_first(original, self.geometry.slice_axis)
        intensity = None
        if digest and self._rule:
            known = self._known(self._rule, digest, lambda: vars(intensity_of_case(turned, self.intensity)))
            intensity = Intensity(**known)
        return prepare(turned, self.intensity, self.weight_map, turned_original, coords, intensity)

    def _known(self, name: str, digest: str, measure: Callable[[], Any]) -> Any:
        """What was measured on a case, its slices first, before, or is measured now."""
        return self._measured.of(digest, f"{name}, slices along {self.geometry.slice_axis}", measure)

    def read_cases(self, split: str) -> list[Case]:
        """Cases of a split as their source read them, before spacing, order of axes and intensity rule of the run."""
        return [self._read_cases[name] for name in getattr(self.split, split)]

    def made_ready(self, case: Case) -> Prepared:
        """Make a changed copy of a case, as the source reads it, ready as the cases of the data; it is not cached."""
        spacing = spacing_of_network(case, self.geometry.sizes, self.geometry.spacing_unit)
        as_it_is = spacing is None or has_spacing(case, spacing)
        at_network = case if as_it_is else resample(case, spacing or ())
        return self._prepare(corrected(at_network, self.intensity), case)

    def cases(self, split: str) -> list[Prepared]:
        """Cases of a split: "train", "val" or "test"."""
        return [self._prepared[name] for name in getattr(self.split, split)]

    def class_counts(self) -> torch.Tensor:
        """Pixels inside, and pixels labeled, of each class or region in the training cases: (K, 2) int64."""
        targets = [target_of(prepared.case) for prepared in self.cases("train")]
        counts = [pixel_counts(target, self.labels.num_classes, self.labels.regions) for target in targets]
        return torch.from_numpy(np.sum(counts, axis=0))

    def fingerprint(self) -> str:
        """Hash of the names, images and masks of all cases: equal data, equal fingerprint."""
        return self._fingerprint

    @property
    def symmetries(self) -> list[str] | None:
        """Flips and turns of the patches that the augmentation shows; None where it does not tell.

        Raises:
            ValueError: The patches lack an axis that they are to be flipped along.
        """
        told = getattr(self.augment, "symmetries", None)
        return told(self.sampling.patch_size) if told else None

    def description(self) -> DataDescription:
        """Describe how images become what the network sees; part of the checkpoint."""
        regions = self.labels.regions
        return DataDescription(
            class_names=list(self.labels.class_names),
            label_values=list(label_values(self.source, self.labels.num_classes)),
            regions=None if regions is None else {name: list(classes) for name, classes in regions.items()},
            channels=self.channels,
            spatial_dims=self.geometry.spatial_dims,
            context=self.geometry.context,
            slice_axis=self.geometry.slice_axis,
            spacing=self.geometry.sizes,
            spacing_unit=self.geometry.spacing_unit,
            distance_unit=self.geometry.distance_unit,
            patch_size=list(self.sampling.patch_size),
            intensity=self.intensity.description(),
            field_of_view=getattr(self.source, "field_of_view", None),
            channels_by_suffix=getattr(self.source, "channels_by_suffix", False),
            reference=self._reference,
            symmetries=self.symmetries,
        )

    def _processes(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def train_dataloader(self) -> DataLoader:
        """Batches of random patches; ``data.sampling.batch_size`` counts all processes."""
        dataset = PatchDataset(
            self.cases("train"), self.sampling, self.augment, self.seed, self.geometry.context, self.labels.regions
        )
        sampler = PatchSampler(self.sampling.patches_per_epoch, self.sampling.batch_size, *self._processes())
        cuda = torch.cuda.is_available()
        auto = min(8, os.cpu_count() or 1) if cuda else 0
        workers = auto if self.sampling.num_workers == "auto" else int(self.sampling.num_workers)
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=together,
            persistent_workers=workers > 0,
            pin_memory=cuda,
        )

    def val_dataloader(self) -> DataLoader:
        """Validation cases, one at a time, each on one process."""
        return self._whole("val")

    def test_dataloader(self) -> DataLoader:
        """Test cases, one at a time, each on one process."""
        return self._whole("test")

    def _whole(self, split: str) -> DataLoader:
        dataset = CaseDataset(self.cases(split), self.labels.regions, self.geometry.distance_unit)
        rank, world_size = self._processes()
        # No padding to equal lengths: each case is scored once, whatever the number of processes. Only a process for
        # which there is no case gets the last one too, under the number -1, by which it does not count.
        own = range(rank, len(dataset), world_size)
        return DataLoader(dataset, batch_size=1, sampler=own or [-1])
