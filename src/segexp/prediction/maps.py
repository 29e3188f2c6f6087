"""What a prediction leaves: labels, probabilities and uncertainty of one image, filled block by block."""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from segexp.checkpoints.description import ModelDescription
from segexp.data.case import Case
from segexp.data.files.writing import in_file_axes, label_dtype
from segexp.inference import Block, entropy

MAPPED = 2**28  # bytes: larger arrays lie in a file while they are filled
FLAT_REGION, VOLUME_REGION = 255, 1  # inside a region, in files that are looked at and in those that are computed with
PIECE = 1 << 24  # pixels whose values are set at a time


@dataclass(frozen=True)
class Maps:
    """Arrays over the pixels of an image.

    Attributes:
        labels: (*S), the value of each class as the training files have it; of overlapping regions (R, *S) bool.
        probabilities: (K, *S) float16 of classes or regions, before post-processing; None = not kept.
        entropy: (*S) float32 from 0 to 1, of several regions the largest; None = not kept.
        std: (*S) float32, standard deviation of the probabilities over the members of an ensemble and the views, of
            several classes or regions the largest; None = not kept.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None = None
    entropy: np.ndarray | None = None
    std: np.ndarray | None = None

    @classmethod
    def empty(
        cls, size: Sequence[int], description: ModelDescription, settings: Any, spread: bool, folder: Path | None
    ) -> "Maps":
        """Make room for an image of ``size``.

        Args:
            size: (*S).
            description: Description of the model.
            settings: Say whether probabilities and uncertainty are kept.
            spread: Whether there are several members to tell a standard deviation of.
            folder: For large arrays, as files; None = all in memory.
        """
        regions, classes = description.regions, len(description.class_names)
        kind = np.dtype(bool) if regions else label_dtype([*whole_values(description), classes - 1])
        outputs = (len(description.output_names), *size)
        return cls(
            room_for(outputs if regions else size, kind, folder),
            room_for(outputs, np.float16, folder) if settings.probabilities else None,
            room_for(size, np.float32, folder) if settings.uncertainty else None,
            room_for(size, np.float32, folder) if spread else None,
        )

    def view(self, turn: Callable[[np.ndarray], np.ndarray]) -> "Maps":
        """Apply ``turn``, which gives a view of (..., *S), to every array."""
        arrays = [getattr(self, field.name) for field in fields(self)]
        return Maps(*(None if array is None else turn(array) for array in arrays))  # type: ignore[arg-type]

    def in_file_axes(self, case: Case) -> "Maps":
        """Turn all arrays from the axes of a case to those of its file."""
        return self.view(lambda array: in_file_axes(array, case))

    def put(self, block: Block, parts: int, activation: str) -> None:
        """Fill in a block.

        Args:
            block: Its first ``parts`` channels are probabilities; standard deviations may follow.
            parts: Number of classes or regions.
            activation: "softmax": the label is the class of the highest probability; "sigmoid": a pixel is in each
                region with a probability above 0.5.
        """
        probs = block.probs[:parts]
        here: Any = (..., *block.px)
        classes = activation == "softmax"
        self.labels[here] = (probs.max(dim=0).indices if classes else probs > 0.5).numpy()
        if self.probabilities is not None:
            self.probabilities[here] = probs.half().numpy()
        if self.entropy is not None:
            found = entropy(probs.clamp(0, 1), activation)
            self.entropy[here] = (found if classes else found.amax(0)).clamp_(0, 1).numpy()
        if self.std is not None:
            self.std[here] = block.probs[parts:].amax(0).numpy()

    def blank(self, outside: np.ndarray, activation: str) -> None:
        """Put background, certain, where no network has learnt anything.

        Args:
            outside: (*S) bool.
            activation: "softmax" of classes, of which 0 is the background, or "sigmoid" of regions.
        """
        for array in (self.labels, self.probabilities, self.entropy, self.std):
            if array is not None:
                array[..., outside] = 0
        if self.probabilities is not None and activation == "softmax":
            self.probabilities[0, outside] = 1

    def set_values(self, description: ModelDescription) -> None:
        """Put in place of the numbers of the classes the values of the training files."""
        values = whole_values(description)
        if description.regions or values == list(range(len(values))):
            return
        table = np.array(values, dtype=self.labels.dtype)
        rows = max(1, PIECE // max(1, math.prod(self.labels.shape[1:])))
        for first in range(0, len(self.labels), rows):
            self.labels[first : first + rows] = table[self.labels[first : first + rows]]


def whole_values(description: ModelDescription) -> list[int]:
    """Value of each class in files.

    Raises:
        ValueError: One is not an integer.
    """
    values = [int(value) for value in description.label_values]
    if values != list(description.label_values):
        raise ValueError(f"label_values={description.label_values} of the model must be integers, to be written")
    return values


def room_for(shape: Sequence[int], dtype: Any, folder: Path | None) -> np.ndarray:
    """Make an array of zeros: in memory or, if it is large and there is a folder, as a mapped file in it."""
    if folder is None or math.prod(shape) * np.dtype(dtype).itemsize < MAPPED:
        return np.zeros(tuple(shape), dtype)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".map", delete=False) as file:
        return np.memmap(file.name, dtype, "w+", shape=tuple(shape))
