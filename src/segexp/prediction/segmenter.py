"""From trained models and an image to labels: what ``segexp predict`` does with each file, for use from Python."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segexp.checkpoints.checkpoint import Model
from segexp.data.case import Case, slices_first
from segexp.data.field_of_view import FIELDS_OF_VIEW
from segexp.data.intensity.rules import rule_from
from segexp.errors import require_choice
from segexp.inference import Block, predict_blocks, to_size
from segexp.postprocessing.postprocess import PostProcess
from segexp.prediction.inputs import at_spacing, find_inputs, is_stack, pages_of, read_input
from segexp.prediction.maps import MAPPED, Maps, room_for
from segexp.prediction.members import TTA, Settings, device_of, joined, predictor_of, require_same

Progress = Callable[[int, int], object]  # told the tiles done and all tiles, of an image or a page


def segment(
    models: Model | Sequence[Model],
    image: str | Path | np.ndarray,
    spacing: Sequence[float] | None = None,
    **settings: Any,
) -> Maps:
    """Predict one image.

    Args:
        models: One, or several whose probabilities are averaged.
        image: File, folder of a DICOM series, or array (C, *S) in the axes that the training had: (C, H, W), or
            (C, D, H, W) with D to superior, H to anterior and W to the right where the model was trained on volumes.
        spacing: Size of a pixel per axis in mm, where the file does not tell it, or of an array.
        settings: Of ``Settings``.

    Returns:
        Labels and what else was asked for, in the axes of the file, (X, Y, Z) as nibabel has them of a volume, or of
        the array.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read or does not go with the model, or a setting is out of its range.
    """
    segmenter = Segmenter([models] if isinstance(models, Model) else models, Settings(**settings))
    if isinstance(image, np.ndarray):
        size = tuple(spacing or (1.0,) * (image.ndim - 1))
        case = Case("the array", image, None, size, "px" if spacing is None else "mm")
    else:
        case = read_input(find_inputs(str(image), segmenter.channels)[0], segmenter.channels, spacing)
    return segmenter(case).in_file_axes(case)


class Segmenter:
    """Trained models made ready together.

    Args:
        models: Members of an ensemble; of the same classes, working at the same spacing.
        settings: How to use them.

    Raises:
        ValueError: The models do not go together, or a setting is out of its range.
    """

    def __init__(self, models: Sequence[Model], settings: Settings) -> None:
        require_choice("tta", settings.tta, TTA)
        require_same([model.description for model in models])
        self.description = models[0].description
        self.device, self.settings = device_of(settings.device), settings
        self.predictor = predictor_of(self.description, settings)
        steps = [model.description.postprocess or {} for model in models]
        self.steps_differ = any(other != steps[0] for other in steps)
        self.postprocess = PostProcess(steps[0] if settings.postprocess and not self.steps_differ else {})
        self.members, self._rules = joined(models, settings, self.device)

    @property
    def channels(self) -> int:
        """Channels that an image must have."""
        return self.description.channels

    @property
    def parts(self) -> int:
        """Classes or regions that the networks tell apart."""
        return len(self.description.output_names)

    def scratch(self, case: Case) -> int:
        """Bytes that arrays other than the maps may take on the disk: overlaps of tiles and resampled probabilities."""
        size, spacing, tile = case.image.shape[1:], self.description.spacing, self.predictor.tile
        small = [px * own / new for px, own, new in zip(size, case.spacing, spacing or case.spacing, strict=False)]
        side = tile if isinstance(tile, int) or tile is None else max(tile)
        channels = self.parts * (1 + self.members.spread)
        numbers = [(channels + 1) * (side or 0) * math.prod(small[1 - self.description.spatial_dims :])]
        if spacing:
            numbers += [channels * math.prod(small), channels * math.prod(size)]
        return sum(math.ceil(4 * count) for count in numbers if 4 * count >= MAPPED)

    def __call__(self, case: Case, folder: Path | None = None, progress: Progress | None = None) -> Maps:
        """Predict a case.

        Args:
            case: As ``read_input`` gives it.
            folder: For arrays too large for memory, as files that may be removed afterwards; None = in memory.
            progress: Called after each batch of tiles.

        Returns:
            Labels and what else was asked for, in the axes of the case.

        Raises:
            ValueError: The case does not go with the networks; names the file.
        """
        dims = self.description.spatial_dims
        self._require_fit(case)
        maps = Maps.empty(case.image.shape[1:], self.description, self.settings, self.members.spread, folder)
        if is_stack(case) and dims == 2 and not self.description.context:
            for index, page in enumerate(pages_of(case)):
                self._fill(page, maps.view(partial(_page, index=index)), folder, progress)
        else:
            self._fill(case, maps, folder, progress)
        maps.set_values(self.description)
        return maps

    def _fill(self, case: Case, maps: Maps, folder: Path | None, progress: Progress | None) -> None:
        """Predict an image or volume into maps of its size."""
        if self.description.field_of_view:
            case = replace(case, valid=FIELDS_OF_VIEW[self.description.field_of_view](case.image))
        axis = self.description.slice_axis if case.image.ndim == 4 else 0
        turned = slices_first(at_spacing(case, self.description.spacing), axis)
        own = slices_first(case, axis)
        maps = maps.view(lambda array: np.moveaxis(array, axis - 3, -3)) if axis else maps
        for block in self._blocks(turned, own.image.shape[1:], folder, progress):
            maps.put(block, self.parts, self.description.activation)
        if own.valid is not None:
            maps.blank(~own.valid, self.description.activation)
        if self.postprocess.steps:
            maps.labels[...] = self.postprocess(maps.labels, own.spacing if own.spacing_unit == "mm" else None)

    def _blocks(
        self, case: Case, size: tuple[int, ...], folder: Path | None, progress: Progress | None
    ) -> Iterator[Block]:
        """Yield blocks of the case, interpolated to ``size`` where it was resampled."""
        try:
            maps = [rule_from(rule).of(case.image, case.valid) for rule in self._rules]
        except ValueError as error:
            raise ValueError(f"{_where(case)}: {error}") from error

        def ready(tile: np.ndarray) -> np.ndarray:
            return np.concatenate([each.standardize(each.to_unit(tile)) for each in maps])

        blocks = predict_blocks(
            self.members,
            case.image,
            ready,
            self.predictor,
            self.description.spatial_dims,
            self.description.context,
            self.device,
            self.settings.accumulate,
            progress,
            partial(room_for, dtype=np.float32, folder=folder),
        )
        return blocks if case.image.shape[1:] == size else _resized(blocks, case.image.shape[1:], size, folder)

    def _require_fit(self, case: Case) -> None:
        where, axes, description = _where(case), case.image.ndim - 1, self.description
        if len(case.image) != description.channels:
            raise ValueError(f"{where} has {len(case.image)} channels, the network takes {description.channels}")
        if axes == 2 and description.spatial_dims == 3:
            raise ValueError(f"{where} is a flat image, but the network takes volumes: give NIfTI, DICOM or a stack")
        if axes == 2 and description.context:
            raise ValueError(
                f"{where} is a flat image, but the network takes slices with {description.context} neighbours on each "
                "side: give a volume or a stack"
            )
        if description.spacing is not None and case.spacing_unit == "px":
            raise ValueError(
                f"{where} does not tell the size of its pixels, but the network works at {description.spacing}: give "
                "spacing=[..], the size per axis in the same unit"
            )


def _page(array: np.ndarray, index: int) -> np.ndarray:
    return array[..., index, :, :]


def _resized(
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


def _where(case: Case) -> str:
    return str(case.files[0]) if case.files else case.name
