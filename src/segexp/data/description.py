"""What the data contribute to the description of a trained network, in plain values."""

from dataclasses import dataclass
from typing import TypedDict

Scalar = bool | int | float | str | None
Plain = Scalar | list[Scalar]
RuleSettings = dict[str, Plain | dict[str, list[float]]]  # name and settings of an intensity rule


class Reference(TypedDict):
    """What the training cases are like: ranges over all; lists have one number per channel, or per spatial axis.

    Attributes:
        cases: Number of cases.
        least: Smallest of the 0.5th, 50th and 99.5th percentile of the intensities, per channel.
        most: Largest of each.
        narrowest: Narrowest range between the outer percentiles.
        widest: Widest one.
        least_size: Fewest pixels.
        most_size: Most pixels.
        unit: Unit of the spacing, "mm", or "px" where no case, or not every one, tells it.
        least_spacing: Smallest size of a pixel.
        most_spacing: Largest one.
        colored: Whether every case has channels that differ.
        descending: Channels by their medians, the brightest first, where that order is the same in all cases.
        orientations: Orientations of the files, such as "LPS"; none of images.
        tilt: Largest angle between the axes of a volume and those of the world, in degrees.
    """

    cases: int
    least: list[list[float]]
    most: list[list[float]]
    narrowest: list[float]
    widest: list[float]
    least_size: list[int]
    most_size: list[int]
    unit: str
    least_spacing: list[float]
    most_spacing: list[float]
    colored: bool
    descending: list[int]
    orientations: list[str]
    tilt: float


@dataclass(frozen=True)
class DataDescription:
    """How images become what a network sees, and what its outputs stand for.

    Attributes that ``Labels``, ``Geometry`` and ``Sampling`` have too mean the same here.

    Attributes:
        label_values: Value of each class in the mask files.
        channels: Number of channels of an image.
        spacing: Size of a pixel per axis at which the network works; None = as the images are.
        spacing_unit: Unit of ``spacing``, see ``Geometry``.
        intensity: Name and settings of the intensity rule, see ``rule_from``.
        field_of_view: Name of the function that finds the valid part of an image, see ``FIELDS_OF_VIEW``; None = all.
        channels_by_suffix: Whether files that end with _0000, _0001, … are the channels of one case.
        reference: What the training cases are like; None = not known.
        symmetries: Flips and turns that the augmentation shows, see ``symmetries_of``; None = not known.
    """

    class_names: list[str]
    label_values: list[float]
    regions: dict[str, list[int]] | None
    channels: int
    spatial_dims: int
    context: int
    slice_axis: int
    spacing: list[float] | None
    spacing_unit: str
    distance_unit: str
    patch_size: list[int]
    intensity: RuleSettings
    field_of_view: str | None
    channels_by_suffix: bool
    reference: Reference | None
    symmetries: list[str] | None

    @property
    def in_channels(self) -> int:
        """Number of channels that the network sees: those of neighboring slices, too."""
        return self.channels * (2 * self.context + 1)

    @property
    def output_names(self) -> list[str]:
        """Name of each channel that the network predicts: the regions, or the classes."""
        return list(self.regions or self.class_names)
