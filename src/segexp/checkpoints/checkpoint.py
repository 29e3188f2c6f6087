"""Opening trained networks: tensors and plain values only, networks built from our own list by exact name.

Nothing of a file is run, and no memory is taken for a network before its parameters agree with the tensors that the
file holds.
"""

import inspect
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segexp.checkpoints.archive import require_checkpoint
from segexp.checkpoints.description import ModelDescription
from segexp.checkpoints.package import SUFFIXES, Shape, read_content, read_tensors, tensor_shapes
from segexp.checkpoints.rules import require_small, shown
from segexp.errors import require_choice
from segexp.models import FCN8s, PretrainedUNet, UNet
from segexp.runs.folder import RunFolder

NETWORKS: dict[str, type[nn.Module]] = {"FCN8s": FCN8s, "PretrainedUNet": PretrainedUNet, "UNet": UNet}
MOST = {"depth": 10, "deep_supervision": 10, "base_channels": 1024, "num_classes": 1000}
MOST_OTHERWISE = 65_536
PREFIX = "network."  # of the network's tensors in a checkpoint


@dataclass(frozen=True)
class Model:
    """A trained network and what must be known to predict with it.

    Attributes:
        network: In evaluation mode, on the CPU.
        description: Network and its arguments, class names, how images are made ready, and so on.
    """

    network: nn.Module
    description: ModelDescription

    @property
    def config(self) -> dict[str, Any]:
        """Arguments of the network, those included that were left at their defaults."""
        return _config(self.network)


def open_model(path: Path) -> Model:
    """Rebuild a trained network, with weight averaging the averaged one, without running anything that the file holds.

    Args:
        path: Run folder (its checkpoints/best.ckpt, with the post-processing that it keeps), checkpoint, or exported
            .safetensors with its .json beside it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is broken, foreign, or does not agree with its description; names file and rule.
    """
    if path.suffix == SUFFIXES["safetensors"]:
        description = ModelDescription.from_plain(read_content(path)["description"], f"{path}: description")
        network = _network(description, tensor_shapes(path), path)
        network.load_state_dict(read_tensors(path))
        return Model(network.eval(), description)
    file = RunFolder(path).best_checkpoint if path.is_dir() else path
    checkpoint = load_checkpoint(file, path if path.is_dir() else None, mapped=True)
    state = _state(checkpoint, file)
    description = ModelDescription.from_plain(checkpoint["segexp"], str(file))
    if path.is_dir():
        run = RunFolder(path, foreign=True)
        steps = {"postprocess": run.postprocess() or None}
        description = ModelDescription.from_plain(description.to_plain() | steps, str(run.postprocess_path))
    shapes = {name: Shape(tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}
    network = _network(description, shapes, file)
    network.load_state_dict(state)
    return Model(network.eval(), description)


def load_checkpoint(path: Path, folder: Path | None = None, mapped: bool = False) -> dict[str, Any]:
    """Read a checkpoint without running anything that it holds.

    Args:
        path: Of the checkpoint.
        folder: A link must not lead out of it; None = it may.
        mapped: Leave the tensors in the file until they are used; it must not be written to meanwhile.

    Raises:
        FileNotFoundError: There is none at ``path``.
        ValueError: The file is broken or was not written by segexp.
    """
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}: give the folder of a run that has finished an epoch")
    require_checkpoint(path, folder)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a checkpoint of tensors and plain values: {error}") from error
    if type(checkpoint) is not dict or "segexp" not in checkpoint:
        raise ValueError(f"{path} does not describe itself: it was not written by segexp train")
    _require_own_folder(checkpoint.get("callbacks"), path)
    return checkpoint


def _require_own_folder(callbacks: Any, path: Path) -> None:
    """Refuse paths with ".." in what callbacks remember: a resumed run removes the files of its older checkpoints."""
    require_small(callbacks, f"{path}: callbacks")
    for state in callbacks.values() if isinstance(callbacks, Mapping) else ():
        for key, value in state.items() if isinstance(state, Mapping) else ():
            for word in (value, *value) if isinstance(value, Mapping) else (value,):
                if isinstance(word, str) and ".." in re.split(r"[/\\]", word):
                    raise ValueError(f"{path}: {shown(key)}={shown(word)} must not lead upwards (..)")


def load_weights(network: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Load a checkpoint's network weights: with weight averaging, the averaged ones."""
    network.load_state_dict(_network_part(checkpoint["state_dict"]))


def _network_part(state: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)}


def _state(checkpoint: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Tensors of the network in a checkpoint, each with its own bytes in the file."""
    whole = checkpoint.get("state_dict")
    if not isinstance(whole, Mapping) or not all(
        type(key) is str and type(value) is Tensor for key, value in whole.items()
    ):
        raise ValueError(f"{path}: state_dict must be names of tensors")
    state: dict[str, Tensor] = _network_part(whole)
    needed = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if needed > path.stat().st_size:
        raise ValueError(f"{path}: its tensors would take {needed} bytes, but the file has {path.stat().st_size}")
    return state


def _network(description: ModelDescription, shapes: Mapping[str, Shape], path: Path) -> nn.Module:
    """Build the network of a description after its tensors were found to be those of the file.

    Raises:
        ValueError: The network is none of ours, its arguments are none of its own, or the tensors are others.
    """
    name, arguments = description.network, description.model
    try:
        require_choice("network", name, NETWORKS)
        _require_arguments(NETWORKS[name], arguments)
        with torch.device("meta"):  # shapes without memory
            planned = NETWORKS[name](**arguments)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}") from error
    _require_same_tensors(
        {key: Shape(tuple(t.shape), t.dtype) for key, t in planned.state_dict().items()}, shapes, path
    )
    _require_fitting(description, _config(planned), path)
    with torch.random.fork_rng(devices=[]):
        return NETWORKS[name](**arguments)


def _config(network: Any) -> dict[str, Any]:
    found: dict[str, Any] = network.config
    return found


def _require_arguments(network: type[nn.Module], arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that the network does not have, of another type, or of a size that no one needs."""
    hints = typing.get_type_hints(network.__init__)
    parameters = list(inspect.signature(network).parameters)
    for key, value in arguments.items():
        require_choice("argument", key, parameters)
        kinds = typing.get_args(hints[key]) or (hints[key],)
        if type(value) not in kinds and not (type(value) is int and float in kinds):
            raise ValueError(f"{key}={shown(value)} must be of type {' or '.join(kind.__name__ for kind in kinds)}")
        if type(value) is int and value > MOST.get(key, MOST_OTHERWISE):
            raise ValueError(f"{key}={value} must be {MOST.get(key, MOST_OTHERWISE)} at most")
    if network is PretrainedUNet:
        _require_no_download(arguments)


def _require_no_download(arguments: Mapping[str, Any]) -> None:
    """Refuse weights or an encoder that would be fetched from elsewhere."""
    if arguments.get("weights", "imagenet") is not None:
        raise ValueError(f"weights={shown(arguments.get('weights', 'imagenet'))} must be null: a file brings its own")
    if not re.fullmatch(r"[\w.-]+", arguments.get("encoder", "resnet34")):
        raise ValueError(f"encoder={shown(arguments['encoder'])} must be a name of letters, digits, '_', '-' and '.'")


def _require_same_tensors(planned: Mapping[str, Shape], found: Mapping[str, Shape], path: Path) -> None:
    for name in planned.keys() | found.keys():
        if planned.get(name) != found.get(name):
            wanted, there = (
                f"{list(shape.size)} {str(shape.dtype).removeprefix('torch.')}" if shape else "none"
                for shape in (planned.get(name), found.get(name))
            )
            raise ValueError(
                f"{path}: the description asks for a tensor {shown(name)} of {wanted}, the file has {there}"
            )


def _require_fitting(description: ModelDescription, config: Mapping[str, Any], path: Path) -> None:
    """Refuse a network whose inputs or outputs are not those of the description."""
    outputs = len(description.output_names)
    inputs = description.channels * (2 * description.context + 1)
    for key, value in (
        ("num_classes", outputs),
        ("in_channels", inputs),
        ("spatial_dims", description.spatial_dims),
    ):
        if config[key] != value:
            raise ValueError(f"{path}: model.{key}={config[key]}, but the rest of the description makes it {value}")
