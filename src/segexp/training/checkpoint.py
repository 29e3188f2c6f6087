"""Opening checkpoints: tensors and plain values only, networks built from our own list by exact name."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from segexp.models import UNet

NETWORKS: dict[str, type[nn.Module]] = {"UNet": UNet}


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running anything that it holds.

    Raises:
        FileNotFoundError: There is none at ``path``.
        ValueError: The file is broken or was not written by segexp.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: give the folder of a run that has finished an epoch")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a checkpoint of tensors and plain values: {error}") from error
    if not isinstance(checkpoint, dict) or "segexp" not in checkpoint:
        raise ValueError(f"{path} does not describe itself: it was not written by segexp train")
    return checkpoint


def load_network(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild the network of a checkpoint, with its weights, in evaluation mode, and its description.

    Raises:
        FileNotFoundError: There is no checkpoint at ``path``.
        ValueError: The file is broken, foreign, or names a network that segexp does not have.
    """
    checkpoint = load_checkpoint(path)
    description = checkpoint["segexp"]
    name = description["network"]
    if name not in NETWORKS:
        raise ValueError(f"{path}: network {name!r} is none of {sorted(NETWORKS)}")
    network = NETWORKS[name](**description["model"])
    load_weights(network, checkpoint)
    return network.eval(), description


def load_weights(network: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Load a checkpoint's network weights: with weight averaging, the averaged ones."""
    prefix = "network."
    state = checkpoint["state_dict"]
    network.load_state_dict({key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)})
