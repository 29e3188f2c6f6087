"""What a plan is made from: facts of the training cases, from the audit, and facts of the machine."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from segexp.data.audit.measures import Measures
from segexp.data.case import Case
from segexp.training.free_memory import free_memory

LOOKED_AT = 24  # cases whose structures are measured, evenly over the training cases
SIDES = ("left", "right")  # of a body: where classes are named so, a mirrored image is a wrong one
CT_LOW = -500.0  # intensity that air has in CT, and no other kind of image stores


@dataclass(frozen=True)
class DataFacts:
    """Facts of the training cases.

    Args:
        cases: Number of training cases.
        validation: Number of validation cases.
        test: Number of test cases.
        groups: Number of groups (patients) among the training cases; 0 = none are told.
        size: Median size in pixels per axis.
        largest: Largest size per axis.
        spacing: Median size of a pixel per axis.
        spacings_differ: Whether the cases differ in it.
        unit: Unit of the spacing, such as "mm"; "px" where the files do not tell it, or not all.
        channels: Number of channels.
        colored: Whether the images are photographs: three channels that differ, of eight bits.
        ct: Whether the intensities are Hounsfield units.
        fractions: Fraction of the labeled pixels per class, background first.
        width: Median width in pixels of the structures of the thinnest class, in the slice plane; 0 = nothing labeled.
        class_names: Names of the classes.
    """

    cases: int
    validation: int
    test: int
    groups: int
    size: tuple[int, ...]
    largest: tuple[int, ...]
    spacing: tuple[float, ...]
    spacings_differ: bool
    unit: str
    channels: int
    colored: bool
    ct: bool
    fractions: tuple[float, ...]
    width: float
    class_names: tuple[str, ...]

    @property
    def axes(self) -> int:
        """Number of spatial axes of a case."""
        return len(self.size)

    @property
    def anisotropy(self) -> float:
        """Longest side of a pixel over the shortest."""
        return max(self.spacing) / min(self.spacing)

    @property
    def foreground(self) -> float:
        """Fraction of the labeled pixels that is not background."""
        return sum(self.fractions[1:])

    @property
    def sided(self) -> list[str]:
        """Classes that are named by a side of the body."""
        return [name for name in self.class_names if any(side in name.lower() for side in SIDES)]


@dataclass(frozen=True)
class Machine:
    """Facts of the machine; how fast it is, is measured.

    Args:
        cores: CPU cores that this process may use.
        memory: Bytes of memory that are free, on the device that trains.
        gpu: Name of the GPU; "" = none.
    """

    cores: int
    memory: int
    gpu: str = ""

    def __str__(self) -> str:
        kind = self.gpu or f"{self.cores} CPU core{'s' if self.cores > 1 else ''}"
        return f"{kind}, {self.memory / 2**30:.1f} GiB free"


def this_machine() -> Machine:
    """Facts of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if torch.cuda.is_available():
        return Machine(cores, free_memory(torch.device("cuda")), torch.cuda.get_device_name())
    return Machine(cores, free_memory())


def data_facts(
    measures: Sequence[Measures], cases: Mapping[str, Case], class_names: Sequence[str], num_classes: int
) -> DataFacts:
    """Gather the facts of the training cases, of what the audit has measured; where none are split off, of all.

    Args:
        measures: Measures of all cases that can be used.
        cases: These cases by name.
        class_names: Names of the classes.
        num_classes: Number of classes.
    """
    training = [one for one in measures if one.split == "train"] or list(measures)
    counts = np.sum([one.counts or (0,) * num_classes for one in training], axis=0)
    spacings = np.array([one.spacing for one in training])
    shown = training[:: max(1, len(training) // LOOKED_AT)][:LOOKED_AT]
    middle = np.median([one.low for one in training])
    return DataFacts(
        cases=len(training),
        validation=sum(one.split == "val" for one in measures),
        test=sum(one.split == "test" for one in measures),
        groups=len({one.group for one in training} - {""}),
        size=tuple(int(n) for n in np.median([one.size for one in training], axis=0)),
        largest=tuple(int(n) for n in np.max([one.size for one in training], axis=0)),
        spacing=tuple(float(size) for size in np.median(spacings, axis=0)),
        spacings_differ=bool(np.any(spacings.max(0) > 1.05 * spacings.min(0))),
        unit=_only([one.unit for one in training]),
        channels=training[0].channels,
        colored=all(one.channels == 3 and not one.gray and one.dtype == "uint8" for one in training),
        ct=bool(middle <= CT_LOW),
        fractions=tuple(float(n) for n in counts / max(1, counts.sum())),
        width=_thinnest([cases[one.name] for one in shown], num_classes),
        class_names=tuple(class_names),
    )


def _only(units: Sequence[str]) -> str:
    return units[0] if len(set(units)) == 1 else "px"


def _thinnest(cases: Sequence[Case], num_classes: int) -> float:
    """Median over cases of the width of structures, of the foreground class where that is least."""
    widths = []
    for label in range(1, num_classes):
        found = [width(case.target == label) for case in cases if case.target is not None]
        seen = [one for one in found if one]
        widths += [float(np.median(seen))] if seen else []
    return min(widths, default=0.0)


def width(mask: np.ndarray) -> float:
    """Mean width in pixels of the structures in a mask (*S) bool, in the slice plane: 2 x area / perimeter.

    Of a long strip this is its width, of a disk its radius. 0 = the mask is empty.
    """
    area = int(mask.sum())
    padded = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(1, 1)] * 2)
    edges = sum(int(np.count_nonzero(np.diff(padded, axis=axis))) for axis in (-1, -2))
    # An edge of random direction crosses 4 / pi as many pixel sides as it is long.
    return 2 * area / (edges * np.pi / 4) if area else 0.0
