"""Augmentation: image, mask and weight map move in one call, from random numbers that belong to one patch alone."""

import random
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np


class Augment:
    """A list of albumentations transforms, drawn anew for each patch.

    In 3-D the transforms act in the slice plane, with equal random numbers for all slices of the patch; those derived
    from ``OnVolume``, and ``AffineElastic``, act on the volume.

    Args:
        transforms: List of albumentations transforms, ours among them, applied in order; images are float32 in [0, 1],
            masks are interpolated by nearest neighbor so that no label is invented.
        flips: Axes along which patches are mirrored before all else, each with probability one half: "z" (the slices
            of a volume), "y" (rows), "x" (columns).

    Raises:
        ValueError: There is no such axis.
    """

    def __init__(self, transforms: list[Any] | None = None, flips: Sequence[str] = ()) -> None:
        cv2.setNumThreads(0)  # workers are the parallelism
        self.flips = list(flips)
        self._compose: Any = None
        if transforms or flips:
            import albumentations as A

            from segexp.data.augmentation.appearance import GRAY_OR_RGB
            from segexp.data.augmentation.geometry import Flips

            transforms = [*([Flips(self.flips)] if flips else []), *(transforms or [])]
            self._gray_or_rgb = [type(t).__name__ for t in transforms if isinstance(t, GRAY_OR_RGB)]
            self._random = random.Random()
            self._compose = A.Compose(transforms, additional_targets={"weight": "mask", "weights": "masks"})

    def symmetries(self, size: Sequence[int]) -> list[str]:
        """Name the flips and turns that the network gets to see, see ``symmetries_of``.

        Raises:
            ValueError: Patches of this size have no axis to be flipped along.
        """
        self._require_axes(len(size))
        if self._compose is None:
            return []
        from segexp.data.augmentation.symmetries import symmetries_of

        return symmetries_of(self._compose.transforms, size)

    def __call__(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        weight: np.ndarray | None,
        rng: np.random.Generator,
        spacing: Sequence[float] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Transform image (C, *S) in [0, 1], mask (*S) and weight (*S) or None together.

        Args:
            image: Image of the patch.
            mask: Its mask.
            weight: Its weight map, or None.
            rng: Generator that belongs to the patch alone.
            spacing: Size of a pixel per axis, which transforms about all axes heed; None = equal sizes.

        Returns:
            Image, mask and weight, maybe views of other arrays, in any order in memory.

        Raises:
            ValueError: A transform changed the patch's size, or is for gray or RGB images only and these are neither,
                or the patch has no axis z to be flipped along.
        """
        if self._compose is None:
            return image, mask, weight
        self._require_axes(mask.ndim)
        if self._gray_or_rgb and len(image) not in (1, 3):
            raise ValueError(
                f"augmentation {', '.join(self._gray_or_rgb)} is for images of 1 or 3 channels, these have "
                f"{len(image)}: take another preset, such as augment=light"
            )
        keys = ("images", "masks", "weights") if mask.ndim == 3 else ("image", "mask", "weight")
        arrays = (image.transpose(*range(1, image.ndim), 0), mask, weight)
        present = {key: np.ascontiguousarray(a) for key, a in zip(keys, arrays, strict=True) if a is not None}
        # The patch's own generator, so that its draws depend on nothing else.
        self._random.seed(int(rng.integers(2**63)))
        self._compose.set_random_state(rng, self._random)
        self._random.random()  # for the probability of the composition, which is 1
        # One after the other, without the composition's checks of shapes, which are known, and of boxes and points.
        transformed: dict[str, Any] = {**present, "spacing": spacing}
        for transform in self._compose.transforms:
            transformed = transform(**transformed)
        moved_image, moved_mask = transformed[keys[0]], transformed[keys[1]]
        if moved_mask.shape != mask.shape:
            raise ValueError(
                f"an augmentation turned a patch of {mask.shape} into {moved_mask.shape}: "
                "make the last two lengths of data.sampling.patch_size equal, or take another preset"
            )
        return moved_image.transpose(-1, *range(moved_image.ndim - 1)), moved_mask, transformed.get(keys[2])

    def _require_axes(self, count: int) -> None:
        if "z" in self.flips and count == 2:
            rest = [axis for axis in self.flips if axis != "z"]
            raise ValueError(
                f"augment.flips={self.flips}: patches with two axes have no axis z, which runs across the slices of a "
                f"volume: say augment.flips={rest}, or train on volumes, data.geometry.spatial_dims=3"
            )
