"""What the data contribute to the description of a trained network, in plain values."""

from dataclasses import dataclass

Scalar = bool | int | float | str | None
Plain = Scalar | list[Scalar]
RuleSettings = dict[str, Plain | dict[str, list[float]]]  # name and settings of an intensity rule


@dataclass(frozen=True)
class DataDescription:
    """How images become what a network sees, and what its outputs stand for.

    Attributes that ``Labels``, ``Geometry`` and ``Sampling`` have too mean the same here.

    Attributes:
        label_values: Value of each class in the mask files.
        channels: Number of channels of an image.
        spacing: Size of a pixel per axis at which the network works; None = as the images are.
        intensity: Name and settings of the intensity rule, see ``rule_from``.
        field_of_view: Name of the function that finds the valid part of an image, see ``FIELDS_OF_VIEW``; None = all.
    """

    class_names: list[str]
    label_values: list[float]
    regions: dict[str, list[int]] | None
    channels: int
    spatial_dims: int
    context: int
    slice_axis: int
    spacing: list[float] | None
    distance_unit: str
    patch_size: list[int]
    intensity: RuleSettings
    field_of_view: str | None

    @property
    def in_channels(self) -> int:
        """Number of channels that the network sees: those of neighboring slices, too."""
        return self.channels * (2 * self.context + 1)

    @property
    def output_names(self) -> list[str]:
        """Name of each channel that the network predicts: the regions, or the classes."""
        return list(self.regions or self.class_names)
