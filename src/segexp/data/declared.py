"""Data as the configuration declares them: its numbers must go together, and each case must be what they say."""

from collections.abc import Sequence

from segexp.data.case import IGNORED, Case
from segexp.errors import require_at_least, require_choice


def require_as_declared(
    case: Case, channels: int, num_classes: int, spatial_dims: int, context: int, distance_unit: str
) -> None:
    """Refuse a case that is not as declared; arguments as of ``DataModule``.

    Raises:
        ValueError: Names the case, its file and the settings.
    """
    where = f"case {case.name}" + "".join(f" ({file})" for file in case.files[:1])
    axes = case.image.ndim - 1
    sliced = axes == 3 and spatial_dims == 2
    if case.image.shape[0] != channels or not (axes == spatial_dims or sliced):
        raise ValueError(
            f"{where} has shape {case.image.shape} (channels first), but data.channels={channels} and "
            f"data.spatial_dims={spatial_dims}: correct these two, or the source's settings"
        )
    if context and not sliced:
        raise ValueError(f"{where} is no volume: data.context={context} needs slices, set it to 0")
    if distance_unit == "mm" and case.spacing_unit != "mm":
        raise ValueError(f"{where} tells no size of a pixel in mm, but data.distance_unit=mm: set it to px")
    if case.target is not None:
        classes = case.target[case.target != IGNORED]
        if classes.max(initial=0) >= num_classes:
            raise ValueError(
                f"{where} has class {classes.max()}, but data.num_classes={num_classes}: raise it and name the class "
                "in data.class_names, or correct the values of the source"
            )


def require_names(class_names: Sequence[str], num_classes: int) -> None:
    """Refuse another number of names than of classes."""
    if len(class_names) != num_classes:
        raise ValueError(f"data.class_names={list(class_names)} must have one name for each of {num_classes} classes")


def require_sizes(patch_size: Sequence[int], spatial_dims: int, batch_size: int, patches_per_epoch: int) -> None:
    """Refuse a patch of another number of axes, and numbers below 1."""
    if len(patch_size) != spatial_dims:
        raise ValueError(f"data.patch_size={list(patch_size)} must have one length for each of {spatial_dims} axes")
    for length in (*patch_size, batch_size, patches_per_epoch):
        require_at_least("data.patch_size, batch_size and patches_per_epoch", length, 1, integer=True)


def require_slices(spatial_dims: int, context: int, slice_axis: int) -> None:
    """Refuse slices of a network of volumes."""
    require_choice("data.slice_axis", slice_axis, (0, 1, 2))
    require_at_least("data.context", context, 0, integer=True)
    if spatial_dims == 3 and (context or slice_axis):
        raise ValueError(
            f"data.context={context} and data.slice_axis={slice_axis} belong to slices: with data.spatial_dims=3 "
            "both are 0"
        )
