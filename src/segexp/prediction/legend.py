"""What the values of a predicted mask are called and in which color they are shown."""

from collections.abc import Sequence

from segexp.checkpoints.description import ModelDescription
from segexp.data.files.segments import Segment
from segexp.pictures.figures import class_colors
from segexp.prediction.maps import integer_values
from segexp.prediction.record import SegmentRow, Shown


def legend_of(description: ModelDescription) -> list[Segment]:
    """Name and color the foreground classes of a mask by their values in files; or the regions, each of value 1."""
    if description.regions:
        regions = zip(description.regions, class_colors(len(description.regions)), strict=True)
        return [Segment(name, 1, color) for name, color in regions]
    names, values = description.class_names[1:], integer_values(description)[1:]
    return [Segment(*each) for each in zip(names, values, class_colors(len(names)), strict=True)]


def background_of(description: ModelDescription) -> int:
    """Value of the pixels of no segment."""
    return 0 if description.regions else integer_values(description)[0]


def shown_of(description: ModelDescription, legend: Sequence[Segment]) -> Shown:
    """Say in plain values what a viewer must know of masks that have this legend, for the record of their folder."""
    rows = [SegmentRow(name=one.name, value=one.value, color=list(one.color)) for one in legend]
    return Shown(channels=description.channels, segments=rows, regions=bool(description.regions))
