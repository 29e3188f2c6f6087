"""Trained models made ready to predict together: opened, compared, set up."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segexp.checkpoints.checkpoint import Model, load_checkpoint, open_model
from segexp.checkpoints.description import ModelDescription
from segexp.checkpoints.networks import Trust
from segexp.data.intensity.named import rule_from
from segexp.data.intensity.rules import IntensityRule
from segexp.errors import require_choice
from segexp.inference import Ensemble, TiledPredictor, optimized_for_inference
from segexp.inference.probabilities import Network
from segexp.models import own_module
from segexp.models.sizes import along_axes
from segexp.prediction.settings import Settings
from segexp.prediction.views import views_asked
from segexp.prediction.which import run_paths
from segexp.runs.folder import RunFolder, SweepFolder
from segexp.runs.postprocess import choice_together

SAME_LOGITS = 1e-3  # largest difference, as a fraction of the largest logit
SAME = (
    *("class_names", "label_values", "regions", "activation"),
    *("channels", "spatial_dims", "context", "slice_axis", "field_of_view", "spacing_unit"),
)


def open_models(run: str, trust: Trust = False) -> list[Model]:
    """Open trained models.

    Args:
        run: Run folder, checkpoint or exported .safetensors; several with commas; a folder that holds runs, such as
            that of a sweep over folds, stands for all of them that ended well.
        trust: Classes outside of segexp that may be built, see ``open_model``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file is broken or foreign.
    """
    paths = run_paths(run)
    return _with_shared_steps([open_model(path, trust=trust) for path in paths], paths)


def _with_shared_steps(models: list[Model], paths: Sequence[Path]) -> list[Model]:
    """Let models have the post-processing that the sweep of their runs keeps for them together, where it keeps one."""
    runs = [RunFolder(path, foreign=True) for path in paths]
    if len(runs) < 2 or not all(run.record_path.is_file() for run in runs):
        return models
    if not SweepFolder(paths[0].absolute().parent).choices_path.is_file():
        return models
    epochs = [load_checkpoint(run.best_checkpoint, run.path, mapped=True).get("epoch") for run in runs]
    together = choice_together(runs, epochs)
    if together is None:
        return models
    steps = {"postprocess": together["steps"] or None}
    place = str(SweepFolder(paths[0].absolute().parent).choices_path)
    told = [ModelDescription.from_plain(model.description.to_plain() | steps, place) for model in models]
    return [
        Model(model.network, replace(description, quality=model.description.quality))
        for model, description in zip(models, told, strict=True)
    ]


def averaged(
    models: Sequence[Model], settings: Settings, device: torch.device
) -> tuple[Network | Ensemble, list[IntensityRule]]:
    """Bring networks to a device, as one.

    Returns:
        The network, or the ensemble of all networks and views; and the intensity rules: a tile holds its channels under
        each rule in turn.

    Raises:
        ValueError: See ``views_asked``.
    """
    descriptions = [model.description for model in models]
    views = views_asked(descriptions, settings.tta, settings.allow_unseen_views)
    # Fused, a batch norm has no statistics to adapt.
    make = _plain if settings.adapt else _fast
    networks: list[Network] = [make(model, device) for model in models]
    intensities = []
    for description in descriptions:
        if description.intensity not in intensities:
            intensities.append(description.intensity)
    if len(intensities) > 1:
        width = descriptions[0].in_channels
        firsts = [intensities.index(description.intensity) * width for description in descriptions]
        networks = [ChannelsOf(network, first, width) for network, first in zip(networks, firsts, strict=True)]
    rules = [rule_from(intensity) for intensity in intensities]
    if len(networks) * len(views) == 1:
        return networks[0], rules
    return Ensemble(networks, views, std=settings.uncertainty, pairs=settings.quality), rules


def _plain(model: Model, device: torch.device) -> nn.Module:
    """Copy a network for a device, as it was trained."""
    return copy.deepcopy(model.network).to(device)


def _fast(model: Model, device: torch.device) -> nn.Module:
    """Copy a network for a device, as one for prediction alone; one of others as it is where that changes its logits.

    Layers of ours are known to be used as they stand; those of others may be looked into by their networks.
    """
    network = model.network
    if own_module(network) is network:
        return optimized_for_inference(network, device)
    plain = _plain(model, device)
    sizes = along_axes(network.even_sizes, model.description.spatial_dims)
    size = (1, model.description.in_channels, *(even.least for even in sizes))
    noise = torch.randn(size, generator=torch.Generator().manual_seed(0))
    try:
        fast = optimized_for_inference(network, device)
        with torch.inference_mode():
            expected, found = plain(noise.to(device)), fast(noise.to(device))
        scale = expected.abs().max().clamp_min(1.0)
        return fast if ((found - expected).abs().max() <= SAME_LOGITS * scale).item() else plain
    except Exception:  # whatever a network may raise of layers that it does not know
        return plain


class ChannelsOf:
    """A network that sees ``count`` of the channels of tiles (N, C, *T), from channel ``first`` on."""

    def __init__(self, network: Network, first: int, count: int) -> None:
        self.network = network
        self.channels = slice(first, first + count)
        self.margin = getattr(network, "margin", 0)

    def __call__(self, tiles: Tensor) -> Tensor:
        """Return the network's logits."""
        return self.network(tiles[:, self.channels])


def predictor_of(description: ModelDescription, settings: Settings) -> TiledPredictor:
    """Set the tiles up as in training, except for what the settings ask for.

    Raises:
        ValueError: A setting is out of its range.
    """
    requested = {key: getattr(settings, key) for key in description.inference}
    chosen: Any = description.inference | {key: value for key, value in requested.items() if value is not None}
    if isinstance(chosen["tile"], str):
        require_choice("tile", chosen["tile"], ["whole"])
        chosen["tile"] = None
    return TiledPredictor(**chosen, activation=description.activation)


def device_of(name: str) -> torch.device:
    """Find a device by name; "auto" takes a GPU where there is one.

    Raises:
        ValueError: There is no such device.
    """
    if name == "auto":
        available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={name} cannot be used here ({reason}): take auto, or cpu") from error
    return device


def require_same(descriptions: Sequence[ModelDescription]) -> None:
    """Refuse models that do not belong into one ensemble.

    Raises:
        ValueError: There is none, or two differ in classes, channels, the way slices are taken, or spacing.
    """
    if not descriptions:
        raise ValueError("there is no model: give at least one")
    first = descriptions[0]
    for number, other in enumerate(descriptions[1:], start=2):
        for key in SAME:
            value, expected = getattr(other, key), getattr(first, key)
            if value != expected:
                raise ValueError(
                    f"model {number} has {key}={value} and model 1 has {expected}: only models that agree in this can "
                    "be averaged; predict with each on its own"
                )
        if not _near(first.spacing, other.spacing):
            raise ValueError(
                f"model {number} works at spacing={other.spacing} and model 1 at {first.spacing}: train them with the "
                "same data.geometry.spacing to average them"
            )


def _near(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    if one is None or other is None:
        return one is other
    return len(one) == len(other) and all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(one, other, strict=True))
