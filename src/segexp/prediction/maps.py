"""Result of a prediction: labels, probabilities and uncertainty of one image, filled block by block."""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segexp.checkpoints.description import ModelDescription
from segexp.data.case import Case
from segexp.data.files.writing import in_file_axes, label_dtype
from segexp.inference import Block, entropy, to_size
from segexp.prediction.quality import Quality
from segexp.prediction.settings import Settings

MAPPED = 2**28  # bytes: larger arrays lie in a file while they are filled
ARRAYS = ("labels", "probabilities", "entropy", "std")
PIECE = 1 << 24  # pixels whose values are set at a time


@dataclass(frozen=True)
class Maps:
    """Arrays over the pixels of an image.

    Attributes:
        labels: (*S), the value of each class as the training files have it; of overlapping regions (R, *S) bool.
        probabilities: (K, *S) float16 of classes or regions, before post-processing; None = not kept.
        entropy: (*S) float32 from 0 to 1, of several regions the largest; None = not kept.
        std: (*S) float32, standard deviation of the probabilities over networks and views, of several classes or
            regions the largest; None = not kept.
        quality: What the prediction tells of its own quality; None = not asked for.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None = None
    entropy: np.ndarray | None = None
    std: np.ndarray | None = None
    quality: Quality | None = None

    @classmethod
    def empty(
        cls, size: Sequence[int], description: ModelDescription, settings: Settings, has_std: bool, folder: Path | None
    ) -> "Maps":
        """Make room for an image of ``size`` (*S) and what is kept of it.

        ``has_std`` says whether there are several networks or views to take a standard deviation over. Large arrays
        lie in files in ``folder``; None = all in memory.
        """
        outputs = (len(description.output_names), *size)
        if description.regions:
            labels = room_for(outputs, bool, folder)
        else:
            values = [*integer_values(description), len(description.class_names) - 1]
            labels = room_for(size, label_dtype(values), folder)
        return cls(
            labels,
            room_for(outputs, np.float16, folder) if settings.probabilities else None,
            room_for(size, np.float32, folder) if settings.uncertainty else None,
            room_for(size, np.float32, folder) if has_std else None,
        )

    def view(self, turn: Callable[[np.ndarray], np.ndarray]) -> "Maps":
        """Apply ``turn``, which gives a view of (..., *S), to every array."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        turned: dict[str, Any] = {name: turn(array) for name, array in arrays.items() if array is not None}
        return replace(self, **turned)

    def in_file_axes(self, case: Case) -> "Maps":
        """Turn all arrays from the axes of a case to those of its file."""
        return self.view(lambda array: in_file_axes(array, case))

    def put(self, block: Block, parts: int, activation: str) -> None:
        """Fill in a block.

        Args:
            block: Its first ``parts`` channels are probabilities; standard deviations and more may follow.
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
            uncertainty = entropy(probs, activation)
            self.entropy[here] = (uncertainty if classes else uncertainty.amax(0)).numpy()
        if self.std is not None:
            self.std[here] = block.probs[parts : 2 * parts].amax(0).numpy()

    def blank(self, outside: np.ndarray, activation: str) -> None:
        """Put background, as certain, where the network was not trained.

        Args:
            outside: Pixels outside the field of view, (*S) bool.
            activation: "softmax" of classes, of which 0 is the background, or "sigmoid" of regions.
        """
        for array in (self.labels, self.probabilities, self.entropy, self.std):
            if array is not None:
                array[..., outside] = 0
        if self.probabilities is not None and activation == "softmax":
            self.probabilities[0, outside] = 1

    def set_values(self, description: ModelDescription) -> None:
        """Replace the indices of the classes by their values in the training files."""
        values = integer_values(description)
        if description.regions or values == list(range(len(values))):
            return
        table = np.array(values, dtype=self.labels.dtype)
        # A piece at a time: the labels may lie in a file that is larger than memory.
        rows = max(1, PIECE // max(1, math.prod(self.labels.shape[1:])))
        for first in range(0, len(self.labels), rows):
            self.labels[first : first + rows] = table[self.labels[first : first + rows]]


def integer_values(description: ModelDescription) -> list[int]:
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


def resized_blocks(
    blocks: Iterator[Block], small_size: tuple[int, ...], size: tuple[int, ...], folder: Path | None
) -> Iterator[Block]:
    """Interpolate the probabilities of a whole image to ``size``, channel by channel, as validation does."""
    small = torch.empty(0)
    for block in blocks:
        if not small.numel():
            small = torch.from_numpy(room_for((len(block.probs), *small_size), np.float32, folder))
        small[(slice(None), *block.px)] = block.probs
    large = torch.from_numpy(room_for((len(small), *size), np.float32, folder))
    for channel, probs in zip(large, small, strict=True):
        channel.copy_(to_size(probs[None, None], size)[0, 0])
    whole = [slice(None)] * (len(size) - 1)
    for index in range(size[0]):
        yield Block((slice(index, index + 1), *whole), large[:, index : index + 1])
