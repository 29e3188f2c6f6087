"""Opening trained networks: tensors and plain values only, networks built by name, see `segexp.checkpoints.networks`.

Nothing of a file is run, and no memory is taken for a network of ours before its parameters agree with the tensors that
the file holds.
"""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor, nn

from segexp.checkpoints.archive import require_checkpoint, require_there
from segexp.checkpoints.description import ModelDescription
from segexp.checkpoints.networks import Given, Trust, build_foreign, build_ours
from segexp.checkpoints.own import require_own
from segexp.checkpoints.package import read_package, read_tensors
from segexp.checkpoints.quality import kept_calibrations
from segexp.checkpoints.rules import SUFFIXES, require_small, shown
from segexp.importable import make_importable
from segexp.models import Network
from segexp.runs.folder import RunFolder
from segexp.runs.ownership import config_dirs_of_run, require_config_dirs
from segexp.runs.postprocess import kept_steps

_log = logging.getLogger(__name__)
PREFIX = "network."  # of the network's tensors in a checkpoint


class Checkpoint(TypedDict):
    """What is read of a checkpoint; Lightning keeps more in it, with which a run resumes.

    ``segexp`` holds a ``ModelDescription`` in plain values.
    """

    segexp: Any
    state_dict: dict[str, Tensor]
    epoch: int
    global_step: int
    callbacks: NotRequired[Any]
    run_id: NotRequired[str]


@dataclass(frozen=True)
class Model:
    """A trained network and what must be known to predict with it.

    Attributes:
        network: Network in evaluation mode, on the CPU.
        description: Network and its arguments, class names, how images are made ready, and so on.
    """

    network: Network
    description: ModelDescription

    def digest(self) -> str:
        """Hash weights and description: equal digests, equal predictions, whatever file they were opened from."""
        plain = self.description.to_plain()
        del plain["quality"]  # changes no mask
        return hash_weights(self.network, json.dumps(plain, sort_keys=True).encode())


def hash_weights(network: nn.Module, start: bytes = b"") -> str:
    """Hash names and values of the weights of a network, after ``start``: SHA-256 in hexadecimal digits."""
    hashed = hashlib.sha256(start)
    for name, tensor in sorted(network.state_dict().items()):
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hashed.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def open_model(path: Path, network: Given | None = None, trust: Trust = False) -> Model:
    """Rebuild a trained network, with weight averaging the averaged one, without running anything that the file holds.

    A network of another package, or of one's own, is built if the user has trained it, gives it, or trusts its class.

    Args:
        path: Path to a run folder (its checkpoints/best.ckpt, with what it keeps of post-processing and of the quality
            of its masks), checkpoint, or exported .safetensors with its .json beside it.
        network: Module that takes the weights, or its class, or a function that takes the arguments of the class; None
            = as the file names it.
        trust: Classes outside of segexp that the file may name, by their dotted paths, or True for any: they are
            imported and called.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: The class of the network cannot be imported.
        ValueError: The file is broken, foreign, names a class that nobody vouches for, or does not agree with its
            description; names file and rule.
    """
    file, description, state = stored_network(path)
    built = _build(description, state, file, network, trust)
    built.load_state_dict(state)
    return Model(built.eval(), description)


def stored_network(path: Path) -> tuple[Path, ModelDescription, dict[str, Tensor]]:
    """Read a trained network without building it.

    Args:
        path: As of ``open_model``.

    Returns:
        The file that holds it, its description, and its tensors by name.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is broken or foreign; names file and rule.
    """
    if path.suffix == SUFFIXES["safetensors"]:
        return path, read_package(path).description, read_tensors(path)
    run = RunFolder(path, foreign=True) if path.is_dir() else None
    file = run.best_checkpoint if run else path
    checkpoint = load_checkpoint(file, run.path if run else None, mapped=True)
    if run:
        require_own(checkpoint, file, run.record().get("id", ""), "name the file itself")
    state = _network_state(checkpoint, file)
    description = ModelDescription.from_plain(checkpoint["segexp"], str(file))
    if run:
        steps = {"postprocess": kept_steps(run, checkpoint.get("epoch")) or None}
        description = ModelDescription.from_plain(description.to_plain() | steps, str(run.postprocess_path))
        description = replace(description, quality=kept_calibrations(run))
    return file, description, state


def load_checkpoint(path: Path, folder: Path | None = None, mapped: bool = False) -> Checkpoint:
    """Read a checkpoint without running anything that it holds.

    Args:
        path: Path to the checkpoint.
        folder: Folder that a link must not lead out of; None = it may.
        mapped: Leave the tensors in the file until they are used; it must not be written to meanwhile.

    Raises:
        FileNotFoundError: There is none at ``path``.
        ValueError: The file is broken or was not written by segexp.
    """
    require_there(path)
    require_checkpoint(path, folder)
    try:
        checkpoint: Checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a checkpoint of tensors and plain values: {error}") from error
    if type(checkpoint) is not dict or "segexp" not in checkpoint:
        raise ValueError(f"{path} does not describe itself: it was not written by segexp train")
    _require_own_folder(checkpoint.get("callbacks"), path)
    return checkpoint


def load_newest(folder: RunFolder) -> tuple[Path, Checkpoint]:
    """Read the newest checkpoint of a run that is whole, and say so where that is not the last one.

    Returns:
        Its path and content.

    Raises:
        FileNotFoundError: There is none.
        ValueError: None is whole; says why, and the remedy.
    """
    faults: list[FileNotFoundError | ValueError] = []
    for path in folder.checkpoints:
        try:
            checkpoint = load_checkpoint(path)
        except (FileNotFoundError, ValueError) as error:
            faults.append(error)
            continue
        if faults:
            _log.warning("%s; going on from %s, epoch %d", faults[0], path, checkpoint["epoch"])
        return path, checkpoint
    damaged = [str(fault) for fault in faults if isinstance(fault, ValueError)]
    if not damaged:
        raise faults[0]
    raise ValueError(f"{'; '.join(damaged)}; remove {folder.last_checkpoint.parent} to start the run anew")


def _require_own_folder(callbacks: Any, path: Path) -> None:
    """Refuse paths with ".." in what callbacks remember: a resumed run removes the files of its older checkpoints."""
    require_small(callbacks, f"{path}: callbacks")
    for state in callbacks.values() if isinstance(callbacks, Mapping) else ():
        for key, value in state.items() if isinstance(state, Mapping) else ():
            # Of a mapping its keys: the best checkpoints stand there by their paths.
            for word in (value, *value) if isinstance(value, Mapping) else (value,):
                if isinstance(word, str) and ".." in re.split(r"[/\\]", word):
                    raise ValueError(f"{path}: {shown(key)}={shown(word)} must not lead upwards (..)")


def load_weights(network: nn.Module, checkpoint: Checkpoint) -> None:
    """Load a checkpoint's network weights: with weight averaging, the averaged ones."""
    network.load_state_dict(_network_part(checkpoint["state_dict"]))


def _network_part(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(PREFIX): tensor for key, tensor in state.items() if key.startswith(PREFIX)}


def _network_state(checkpoint: Checkpoint, path: Path) -> dict[str, Tensor]:
    """Tensors of the network in a checkpoint, each with its own bytes in the file."""
    whole: Any = checkpoint.get("state_dict")
    if not isinstance(whole, Mapping) or not all(
        type(key) is str and type(value) is Tensor for key, value in whole.items()
    ):
        raise ValueError(f"{path}: state_dict must be names of tensors")
    state = _network_part(whole)
    needed, size = sum(tensor.numel() * tensor.element_size() for tensor in state.values()), path.stat().st_size
    if needed > size:
        raise ValueError(f"{path}: its tensors would take {needed} bytes, but the file has {size}")
    return state


def _build(
    description: ModelDescription, state: Mapping[str, Tensor], path: Path, given: Given | None, trust: Trust
) -> Network:
    """Build the network of a description once it, its arguments and its tensors were found to be those of the file."""
    ours = given is None and "." not in description.network
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        try:
            if ours:
                with torch.device("meta"):  # shapes without memory
                    planned = build_ours(description.network, description.model)
            else:
                planned = _build_foreign(description, path, given, trust)
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            raise ValueError(f"{path}: {error}") from error
        _require_same_tensors(planned.state_dict(), state, path)
        if not ours:
            return planned
        _require_fitting(description, planned, path)
        return build_ours(description.network, description.model)


def _build_foreign(description: ModelDescription, path: Path, given: Given | None, trust: Trust) -> Network:
    """Build a network that is none of ours, with the modules that the user's own run found."""
    run = RunFolder.holding(path)
    folders = config_dirs_of_run(run.record()) if run else []
    make_importable(folders)
    try:
        return build_foreign(description, given, trust)
    except ImportError:
        require_config_dirs(folders)
        raise


def _require_same_tensors(planned: Mapping[str, Tensor], stored: Mapping[str, Tensor], path: Path) -> None:
    for name in planned.keys() | stored.keys():
        wanted, there = (
            f"{list(state[name].shape)} {str(state[name].dtype).removeprefix('torch.')}" if name in state else "none"
            for state in (planned, stored)
        )
        if wanted != there:
            raise ValueError(
                f"{path}: the description asks for a tensor {shown(name)} of {wanted}, the file has {there}"
            )


def _require_fitting(description: ModelDescription, network: Network, path: Path) -> None:
    """Refuse a network whose inputs or outputs are not those of the description."""
    for key, value in (
        ("num_classes", len(description.output_names)),
        ("in_channels", description.in_channels),
        ("spatial_dims", description.spatial_dims),
    ):
        if network.config[key] != value:
            raise ValueError(
                f"{path}: model.{key}={network.config[key]}, but the rest of the description makes it {value}"
            )
