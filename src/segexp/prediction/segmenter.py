"""From trained models and an image to labels: what ``segexp predict`` does with each file, for use from Python."""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segexp.checkpoints.checkpoint import Model
from segexp.checkpoints.quality import Calibration
from segexp.data.case import Case, slices_first
from segexp.data.field_of_view import FIELDS_OF_VIEW
from segexp.data.reference import Deviation, deviations
from segexp.data.spacing import FILES, spacing_of_network
from segexp.errors import require_between
from segexp.inference import Block, Ensemble, adapted, predict_blocks
from segexp.inference.quality import CaseQuality
from segexp.inference.views import View
from segexp.postprocessing.postprocess import PostProcess
from segexp.prediction.ensemble import averaged, device_of, predictor_of, require_same
from segexp.prediction.inputs import at_spacing, find_inputs, is_stack, pages_of, read_input
from segexp.prediction.maps import MAPPED, Maps, resized_blocks, room_for
from segexp.prediction.quality import estimated, find_calibration, require_as_trained
from segexp.prediction.settings import Settings

Progress = Callable[[int, int], object]  # called with the number of tiles done and of all tiles, of an image or a page

_log = logging.getLogger(__name__)


def segment(
    models: Model | Sequence[Model],
    image: str | Path | np.ndarray,
    spacing: Sequence[float] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Maps:
    """Predict one image.

    Args:
        models: Model, or several whose probabilities are averaged.
        image: File, folder of a DICOM series, or array (C, *S) in the axes that the training had: (C, H, W), or
            (C, D, H, W) with D to superior, H to anterior and W to the right where the model was trained on volumes.
        spacing: Size of a pixel per axis in mm, where the file does not tell it, or of an array.
        progress: Called after each batch of tiles; what it raises ends the prediction.
        settings: Fields of ``Settings``.

    Returns:
        Labels and what else was asked for, in the axes of the file, (X, Y, Z) as nibabel has them of a volume, or of
        the array.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read or does not go with the model, or a setting is out of its range; with
            ``strict`` also: the image is far from what the training saw, else that is a warning of the log.
    """
    segmenter = Segmenter([models] if isinstance(models, Model) else models, Settings(**settings))
    if isinstance(image, np.ndarray):
        size = tuple(spacing or (1.0,) * (image.ndim - 1))
        case = Case("the array", image, None, size, "px" if spacing is None else "mm")
    else:
        inputs = find_inputs(str(image), segmenter.description.channels_by_suffix)
        case = read_input(inputs[0], segmenter.channels, spacing)
    for deviation in segmenter.compare(case):
        _log.warning("%s: %s", _where(case), deviation.sentence)
    return segmenter(case, progress=progress).in_file_axes(case)


class Segmenter:
    """Trained models made ready together.

    Args:
        models: Models of the same classes, working at the same spacing; several are averaged.
        settings: How to use them.

    Attributes:
        has_std: Whether the standard deviation over several networks or views is kept.
        calibration: How the quality is estimated; None = it was not asked for, or the models do not know.
        steps: Post-processing steps that are applied.
        steps_differ: Whether the models keep different post-processing steps, so that none is applied.

    Raises:
        ValueError: The models do not go together, or a setting is out of its range.
    """

    def __init__(self, models: Sequence[Model], settings: Settings) -> None:
        require_same([model.description for model in models])
        self.description = models[0].description
        self.settings = settings
        self.device = device_of(settings.device)
        self.predictor = predictor_of(self.description, settings)
        steps = [model.description.postprocess or {} for model in models]
        self.steps_differ = any(other != steps[0] for other in steps)
        self.steps = steps[0] if settings.postprocess and not self.steps_differ else {}
        self.postprocess = PostProcess(self.steps)
        self.network, self.rules = averaged(models, settings, self.device)
        self.has_std = settings.uncertainty and isinstance(self.network, Ensemble)
        self.calibration: Calibration | None = None
        require_between("adapt", settings.adapt, 0, 1, "it is the weight of an image's own statistics")
        if settings.quality:
            require_as_trained(settings.adapt)
            self.calibration = find_calibration(models, self.views, self.steps)

    @property
    def channels(self) -> int:
        """Channels that an image must have."""
        return self.description.channels

    @property
    def parts(self) -> int:
        """Number of classes or regions that the networks predict."""
        return len(self.description.output_names)

    @property
    def views(self) -> Sequence[View]:
        """Views that are averaged over."""
        return Ensemble.of(self.network).views

    @property
    def temperature(self) -> float:
        """Temperature of the probabilities by which the quality is measured."""
        return self.calibration["temperature"] if self.calibration else 1.0

    def scratch(self, case: Case) -> int:
        """Bytes that arrays other than the maps may take on the disk: overlaps of tiles and resampled probabilities."""
        size, tile = case.image.shape[1:], self.predictor.tile
        spacing = self.description.spacing
        at = spacing or case.spacing
        if spacing and len(spacing) == len(case.spacing):
            at = spacing_of_network(case, spacing, self.description.spacing_unit) or at
        resampled = [px * old / new for px, old, new in zip(size, case.spacing, at, strict=False)]
        side = tile if isinstance(tile, int) or tile is None else max(tile)
        # Of the agreement there are two channels per part, at most.
        channels = self.parts * (1 + self.has_std + 2 * self.settings.quality)
        numbers = [(channels + 1) * (side or 0) * math.prod(resampled[1 - self.description.spatial_dims :])]
        if spacing:
            numbers += [channels * math.prod(resampled), channels * math.prod(size)]
        return sum(math.ceil(4 * count) for count in numbers if 4 * count >= MAPPED)

    def __call__(self, case: Case, folder: Path | None = None, progress: Progress | None = None) -> Maps:
        """Predict a case.

        Args:
            case: Case as ``read_input`` returns it.
            folder: Folder for arrays too large for memory, as files that may be removed afterwards; None = in memory.
            progress: Called after each batch of tiles.

        Returns:
            Labels and what else was asked for, in the axes of the case.

        Raises:
            ValueError: The case does not go with the networks; names the file.
        """
        self._require_fit(case)
        description = self.description
        quality = CaseQuality(description.activation, [self.temperature]) if self.settings.quality else None
        maps = Maps.empty(case.image.shape[1:], description, self.settings, self.has_std, folder)
        for original, resampled, part in self._images(case, maps):
            for block in self._blocks(resampled, original.image.shape[1:], folder, progress):
                part.put(block, self.parts, description.activation)
                if quality:
                    self._measure(quality, block, original.valid)
            if original.valid is not None:
                part.blank(~original.valid, description.activation)
            if self.postprocess.steps:
                spacing = original.spacing if original.spacing_unit == "mm" else None
                part.labels[...] = self.postprocess(part.labels, spacing)
        maps.set_values(description)
        return replace(maps, quality=estimated(quality.measures(), self.calibration)) if quality else maps

    def _measure(self, quality: CaseQuality, block: Block, valid: np.ndarray | None) -> None:
        """Add a block to the measures of a case whose field of view is ``valid``."""
        pairs = block.probs[self.parts * (1 + self.has_std) :]
        inside = None if valid is None else torch.from_numpy(valid[block.px])
        quality.add(block.probs[: self.parts], pairs if len(pairs) else None, inside)

    def compare(self, case: Case) -> list[Deviation]:
        """Tell in what a case, as ``read_input`` returns it, is far from what the training of the first model saw.

        Raises:
            ValueError: The case does not go with the networks, or, where the settings say ``strict``, it is far.
        """
        self._require_fit(case)
        find, reference = self.description.field_of_view, self.description.reference
        if find and reference and case.image.ndim == 3:
            case = replace(case, valid=FIELDS_OF_VIEW[find](case.image))
        turned = slices_first(case, self.description.slice_axis) if case.image.ndim == 4 else case
        found = deviations(turned, reference)
        if found and self.settings.strict:
            sentences = "; ".join(deviation.sentence for deviation in found)
            raise ValueError(f"{_where(case)}: {sentences} (strict=false predicts it all the same)")
        return found

    def _images(self, case: Case, maps: Maps) -> Iterator[tuple[Case, Case, Maps]]:
        """Yield each image or volume as it is, at the spacing of the network, and the part of the maps that it fills.

        A stack is as many images as it has pages, unless the network takes volumes or neighboring slices.
        """
        description = self.description
        if is_stack(case) and description.spatial_dims == 2 and not description.context:
            images = [(page, maps.view(partial(_page, index=index))) for index, page in enumerate(pages_of(case))]
        else:
            images = [(case, maps)]
        axis = description.slice_axis if images[0][0].image.ndim == 4 else 0
        for image, part in images:
            if description.field_of_view:
                image = replace(image, valid=FIELDS_OF_VIEW[description.field_of_view](image.image))
            if axis:
                part = part.view(partial(np.moveaxis, source=axis - 3, destination=-3))
            resampled = self._corrected(at_spacing(image, description.spacing, description.spacing_unit))
            yield slices_first(image, axis), slices_first(resampled, axis), part

    def _corrected(self, case: Case) -> Case:
        """Correct the pixels as the intensity rules do; where they do so, the channels of each rule follow in turn."""
        if not any(rule.corrects for rule in self.rules):
            return case
        with _naming(case):
            return replace(case, image=np.concatenate([rule.correct(case).image for rule in self.rules]))

    def _by_rule(self, image: np.ndarray) -> Sequence[np.ndarray]:
        """Image (C, *S), or part of it, as each rule takes it."""
        if len(image) == self.channels:
            return [image] * len(self.rules)
        return np.split(image, len(self.rules))

    def _blocks(
        self, case: Case, size: tuple[int, ...], folder: Path | None, progress: Progress | None
    ) -> Iterator[Block]:
        """Yield blocks of the case, interpolated to ``size`` where it was resampled; adapted to it where asked for."""
        with _naming(case):
            parts = zip(self.rules, self._by_rule(case.image), strict=True)
            intensities = [rule.of(part, case.valid) for rule, part in parts]

        def ready(tile: np.ndarray) -> np.ndarray:
            parts = zip(intensities, self._by_rule(tile), strict=True)
            return np.concatenate([each.standardize(each.to_unit(part)) for each, part in parts])

        def predicted() -> Iterator[Block]:
            return predict_blocks(
                self.network,
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

        with adapted(self.network, self.settings.adapt, lambda: deque(predicted(), maxlen=0)):
            same = case.image.shape[1:] == size
            yield from predicted() if same else resized_blocks(predicted(), case.image.shape[1:], size, folder)

    def _require_fit(self, case: Case) -> None:
        description = self.description
        where, axes = _where(case), case.image.ndim - 1
        if len(case.image) != description.channels:
            raise ValueError(f"{where} has {len(case.image)} channels, the network takes {description.channels}")
        if axes == 2 and description.spatial_dims == 3:
            raise ValueError(f"{where} is a flat image, but the network takes volumes: give NIfTI, DICOM or a stack")
        if axes == 2 and description.context:
            raise ValueError(
                f"{where} is a flat image, but the network takes slices with {description.context} neighbors on each "
                "side: give a volume or a stack"
            )
        in_files = description.spacing_unit == FILES
        if description.spacing is not None and in_files and case.spacing_unit == "px":
            raise ValueError(
                f"{where} does not tell the size of its pixels, but the network works at {description.spacing}: give "
                "spacing=[..], the size per axis in the same unit"
            )


def _page(array: np.ndarray, index: int) -> np.ndarray:
    return array[..., index, :, :]


@contextmanager
def _naming(case: Case) -> Iterator[None]:
    """Name the file of a case in what a rule refuses."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{_where(case)}: {error}") from error


def _where(case: Case) -> str:
    return str(case.files[0]) if case.files else case.name
