"""Post-processing of predicted labels: what is known of the shape of objects, applied after the network.

The steps run in one order, whichever are chosen: largest component, minimum size, holes, watershed. A speck of one
class inside another is thereby first removed and then filled. All of them need the whole image in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from segexp.errors import did_you_mean, require_choice
from segexp.postprocessing.steps import FillHoles, LargestComponent, MinSize, Step
from segexp.postprocessing.watershed import Watershed

Setting = bool | int | float | str | Sequence[int] | None
Steps = Mapping[str, Mapping[str, Setting]]  # by name, each with its settings

STEPS: dict[str, type[Any]] = {  # in the order in which they run
    "largest_component": LargestComponent,
    "min_size": MinSize,
    "fill_holes": FillHoles,
    "watershed": Watershed,
}


def in_words(steps: Steps) -> str:
    """Describe steps in words, such as "min_size (size=30), fill_holes"; "none" where there are none."""
    words = []
    for name, settings in steps.items():
        values = ", ".join(f"{key}={value}" for key, value in settings.items())
        words.append(f"{name} ({values})" if settings else name)
    return ", ".join(words) or "none"


class PostProcess:
    """Applies the chosen steps, in their fixed order, to the labels or regions of a whole image.

    Args:
        steps: Names of ``STEPS``, each with its settings: {"largest_component": {}, "fill_holes": {"max_size": 50}}.

    Raises:
        ValueError: A step or setting is unknown, or out of its range.
    """

    def __init__(self, steps: Steps) -> None:
        for name in steps:
            require_choice("post-processing step", name, STEPS)
        self.steps: dict[str, Step] = {name: _step(name, steps[name]) for name in STEPS if name in steps}

    def __call__(self, array: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
        """Return a new array of the same shape and dtype.

        Args:
            array: (*S) integers, the class of each pixel, 0 = background; or (R, *S) bool, overlapping regions. S
                has two or three axes.
            spacing: Size of a pixel per axis, in mm; needed by settings in mm.

        Raises:
            ValueError: The array is neither, has other classes than a step names, or the spacing does not fit.
        """
        axes = array.ndim - (array.dtype == bool)
        if not (array.dtype == bool or np.issubdtype(array.dtype, np.integer)) or axes not in (2, 3):
            raise ValueError(
                f"an array of {array.dtype} and shape {array.shape} cannot be post-processed: give classes (*S) as "
                "integers or regions (R, *S) as bool, S of two or three axes"
            )
        if spacing is not None and (len(spacing) != axes or min(spacing) <= 0):
            raise ValueError(f"spacing={tuple(spacing)} must be one size above 0 for each of {axes} axes")
        result = array.copy()
        if array.size:
            for step in self.steps.values():
                step(result, None if spacing is None else tuple(float(size) for size in spacing))
        return result


def _step(name: str, settings: Mapping[str, Setting]) -> Step:
    """Build a step; refuse settings that it does not have."""
    known = [field.name for field in fields(STEPS[name])]
    for key in settings:
        if key not in known:
            raise ValueError(f"{name}.{key}: no such setting{did_you_mean(key, known)}; there are: {', '.join(known)}")
    if name == "min_size" and "size" not in settings:
        raise ValueError("min_size has no size: give the size of the smallest object that stays, such as {size: 20}")
    step: Step = STEPS[name](**settings)
    return step
