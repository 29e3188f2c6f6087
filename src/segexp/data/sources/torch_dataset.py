"""Cases from a map-style Dataset of torch, of any class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from segexp.data.cache import content_digest
from segexp.data.case import IGNORED, Case, Entry
from segexp.data.files.mask_values import file_facts, whole_labels
from segexp.data.sources.instances import instances_of
from segexp.data.sources.masks import NumberCode, Values
from segexp.errors import require_choice, some, type_name

AXES = ("CHW", "HWC", "CDHW", "DHWC")
_NAME = "item_{:05d}"


class TorchDataset:
    """Images and masks that a Dataset gives by their number, as PIL images, NumPy arrays or tensors.

    The image has the axes that ``axes`` names, or all of them but C (gray); a PIL image has its own. The mask has the
    spatial axes alone, beside them at most a channel axis of length 1. Nothing is known of files, so each item is read
    at every start, and a cached case is taken only for the same content. Items must come out the same each time: random
    transforms belong into the augmentation.

    Args:
        dataset: Object with ``__len__`` and ``__getitem__``.
        image: Position or key of the image in an item.
        mask: Position or key of the mask in an item.
        axes: Order of the axes of images that are arrays or tensors: "CHW", "HWC", "CDHW" or "DHWC".
        values: Class of each value in the masks; 255 as class = not labeled. None = the values are the classes.
        spacing: Size of a pixel per spatial axis in mm, where known; None = unknown.
        instances: Position or key of the numbers of objects in an item, 0 = none, an array like the mask; None = there
            are none.

    Raises:
        ValueError: The dataset has no length or no items, or an argument is out of its range.
    """

    content_in_files = False

    def __init__(
        self,
        dataset: Any,
        image: int | str = 0,
        mask: int | str = 1,
        axes: str = "CHW",
        values: Values | None = None,
        spacing: Sequence[float] | None = None,
        instances: int | str | None = None,
    ) -> None:
        require_choice("axes", axes, AXES)
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise ValueError(
                f"dataset {type_name(dataset)} has no length or no items by number: give a map-style Dataset"
            )
        if not len(dataset):
            raise ValueError(f"dataset {type_name(dataset)} has no item")
        if spacing is not None and (len(spacing) != len(axes) - 1 or not min(spacing) > 0):
            raise ValueError(f"spacing={list(spacing)} must be one size above 0 in mm per axis of {_spatial(axes)}")
        self._dataset = dataset
        self._code = None if values is None else NumberCode(values, 0)
        self.image = image
        self.mask = mask
        self.instances = instances
        self.axes = axes
        self.values = None if values is None else dict(values)
        self.spacing = None if spacing is None else tuple(spacing)

    @property
    def mask_values(self) -> dict[int, int]:
        """Class of each declared value of the masks; empty where they hold classes."""
        return {} if self._code is None else self._code.values

    def prepare(self) -> None:
        """Read the first item twice.

        Raises:
            ValueError: It cannot be used, or is another one the second time.
        """
        first, again = (self.read(_NAME.format(0)) for _ in range(2))
        if content_digest(first) != content_digest(again):
            raise ValueError(
                f"dataset {type_name(self._dataset)} gives item 0 differently each time: leave out its random "
                "transforms, and choose an augmentation (augment=light)"
            )

    def entries(self) -> list[Entry]:
        """Return item_00000, item_00001 and so on."""
        return [Entry(_NAME.format(index)) for index in range(len(self._dataset))]

    def read(self, name: str) -> Case:
        """Read one item: image (C, *S), target (*S) uint8."""
        require_choice("name", name, [entry.name for entry in self.entries()])
        item = self._item(int(name.removeprefix("item_")))
        image = self._channels_first(_array(item[0], name, "image"), name, isinstance(item[0], Image.Image))
        raw = self._labels(item[1], name, "mask", image)
        target = self._code.classes(raw, Path(name)) if self._code is not None else _as_classes(raw, name)
        numbers = None
        if self.instances is not None:
            found = self._labels(item[2], name, "instances", image)
            numbers = instances_of(found, target, f"instances of {name}", f"mask {name}")
        facts = file_facts(image, raw)
        spacing = self.spacing or (1.0,) * target.ndim
        return Case(name, image, target, spacing, "mm" if self.spacing else "px", facts=facts, instances=numbers)

    def _item(self, index: int) -> list[Any]:
        """Image, mask and, where there are some, numbers of objects of an item."""
        wanted = {"image": self.image, "mask": self.mask}
        if self.instances is not None:
            wanted["instances"] = self.instances
        try:
            item = self._dataset[index]
            return [item[key] for key in wanted.values()]
        except Exception as error:  # whatever the code of others raises
            places = " or ".join(f"no {what} at {key!r}" for what, key in wanted.items())
            raise ValueError(
                f"item {index} of dataset {type_name(self._dataset)} has {places}, or cannot be read "
                f"({type(error).__name__}: {error}): set data.source.{', '.join(wanted)}"
            ) from error

    def _labels(self, value: Any, name: str, what: str, image: np.ndarray) -> np.ndarray:
        """Integers (*S) of a mask."""
        labels = self._without_channel(_array(value, name, what), image.shape[1:], f"{what} {name}")
        return whole_labels(labels, Path(name))

    def _channels_first(self, image: np.ndarray, name: str, is_picture: bool) -> np.ndarray:
        """Bring an image to (C, *S)."""
        axes = "HWC" if is_picture else self.axes
        if image.ndim == len(axes) - 1:
            return image[None]
        if image.ndim != len(axes):
            raise ValueError(
                f"image {name} of shape {image.shape} is neither {axes} nor {_spatial(axes)}: set data.source.axes to "
                f"one of {some(AXES)}"
            )
        return np.moveaxis(image, axes.index("C"), 0)

    def _without_channel(self, mask: np.ndarray, size: tuple[int, ...], what: str) -> np.ndarray:
        """Bring a mask to (*S)."""
        alone = [axis for axis in (0, mask.ndim - 1) if mask.ndim == len(size) + 1 and mask.shape[axis] == 1]
        mask = mask.squeeze(alone[0]) if alone else mask
        if mask.shape != size:
            raise ValueError(
                f"{what} of shape {mask.shape} does not cover its image, {size} without channels: correct the "
                "dataset, or data.source.axes"
            )
        return mask


def _array(value: Any, name: str, what: str) -> np.ndarray:
    """Turn a PIL image, array or tensor into an array of numbers.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, Image.Image) and what == "image" and value.mode in ("P", "PA"):
        value = value.convert("RGB")  # of a mask the numbers are the classes, not the colors
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if not isinstance(value, Image.Image | np.ndarray) or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{what} {name} is a {type_name(value)}: it must be a PIL image, an array or a tensor of numbers"
        )
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _as_classes(raw: np.ndarray, name: str) -> np.ndarray:
    low, high = int(raw.min()), int(raw.max())
    if low < 0 or high > IGNORED:
        raise ValueError(
            f"mask {name} holds {low if low < 0 else high}, and classes are 0 to 254, 255 = not labeled: give each "
            "value its class in data.source.values; numbers of objects take {0: 0, other: 1}, and data.source.instances"
        )
    return raw.astype(np.uint8)


def _spatial(axes: str) -> str:
    return axes.replace("C", "")
