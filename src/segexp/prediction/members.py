"""Trained models made ready to predict together: opened, compared, set up."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segexp.checkpoints.checkpoint import Model, open_model
from segexp.checkpoints.description import ModelDescription
from segexp.errors import require_choice
from segexp.inference import Members, TiledPredictor, optimized_for_inference, views
from segexp.inference.averaging import UNTURNED

TTA = {"none": [UNTURNED], "flips": list(views(True, False)), "turns": list(views(True, True))}
SAME = (
    *("class_names", "label_values", "regions", "activation"),
    *("channels", "spatial_dims", "context", "slice_axis", "field_of_view"),
)


@dataclass(frozen=True)
class Settings:
    """How models are used; what is None is as in training.

    Args:
        tta: Views of each tile whose probabilities are averaged: "none", "flips" (4) or "turns" (8: flips and quarter
            turns).
        device: "auto", "cpu", "cuda", "cuda:1", "mps" …
        tile: Side of a tile in px, one for all axes or one per axis; "whole" takes the image in one go.
        overlap: Share of a tile, in [0, 1), that it has in common with the next one.
        border: Mirrored border in px, or "auto".
        blending: "gaussian" or "constant".
        batch_size: Tiles per call of the network.
        accumulate: Where tiles are added up: "device" or "cpu".
        postprocess: Apply the steps that the models say, where all say the same.
        probabilities: Keep them, too.
        uncertainty: Keep entropy, and the standard deviation over networks and views where there are several.
    """

    tta: str = "none"
    device: str = "auto"
    tile: int | Sequence[int] | str | None = None
    overlap: float | None = None
    border: int | str | None = None
    blending: str | None = None
    batch_size: int | None = None
    accumulate: str = "device"
    postprocess: bool = True
    probabilities: bool = False
    uncertainty: bool = False


def open_models(run: str) -> list[Model]:
    """Open trained models.

    Args:
        run: Run folder, checkpoint or exported .safetensors; several with commas.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file is broken or foreign.
    """
    return [open_model(path) for path in paths_of(run)]


def paths_of(run: str) -> list[Path]:
    """Part a path, or several with commas; one that is there may have commas in its name."""
    return [Path(run)] if Path(run).exists() else [Path(word.strip()) for word in run.split(",") if word.strip()]


def joined(
    models: Sequence[Model], settings: Settings, device: torch.device
) -> tuple[Members, list[Mapping[str, Any]]]:
    """Bring networks to a device and let each see its part of a tile.

    Returns:
        The networks and views as one, and the intensity rules: a tile holds its channels under each rule in turn.
    """
    rules: list[Mapping[str, Any]] = []
    networks = []
    for model in models:
        description = model.description
        if description.intensity not in rules:
            rules.append(description.intensity)
        width = description.in_channels
        network = optimized_for_inference(model.network, device)
        networks.append(Part(network, rules.index(description.intensity) * width, width))
    tta = TTA[settings.tta]
    return Members(networks, tta, spread=settings.uncertainty and len(models) * len(tta) > 1), rules


@dataclass(frozen=True)
class Part:
    """A network that looks at its part of the channels of tiles (N, C, *T)."""

    network: Callable[[Tensor], Tensor]
    first: int
    count: int

    def __call__(self, tiles: Tensor) -> Tensor:
        """Return the network's logits."""
        return self.network(tiles[:, self.first : self.first + self.count])


def predictor_of(description: ModelDescription, settings: Settings) -> TiledPredictor:
    """Set the tiles up as in training, save for what the settings say.

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
        ValueError: It is not there.
    """
    if name == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
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
