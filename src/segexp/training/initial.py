"""Starts a network from another that was trained before: of other classes, other channels, or a part alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from segexp.checkpoints.checkpoint import stored_network
from segexp.crc import crc_of_file
from segexp.errors import some
from segexp.runs.record import InitFacts

MOST_CHANNELS = 8  # of images; more are those of a level of the network


@dataclass(frozen=True)
class Started:
    """What a network took over.

    Args:
        kept: Names of the tensors that are as they were.
        adapted: Names of tensors that were fitted -> what was done.
        new: Names of those that stay as they were drawn.
        share: Fraction of the parameters that are kept or adapted.
    """

    kept: list[str]
    adapted: dict[str, str]
    new: list[str]
    share: float

    def told(self) -> str:
        """Say in words what was taken over."""
        parts = [f"{len(self.kept)} tensors kept"]
        parts += [f"{name} {how}" for name, how in self.adapted.items()]
        parts += [f"drawn anew: {some(self.new, 4)}"] if self.new else []
        return f"{'; '.join(parts)} ({self.share:.0%} of the parameters from there)"


def start_from_file(network: nn.Module, given: str, output_names: Sequence[str]) -> InitFacts:
    """Start a network from a trained one, as ``init=`` names it; see ``start_from``.

    Returns:
        What is recorded of it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is broken, or nothing of it fits; names file and remedy.
    """
    file, description, tensors = stored_network(Path(given))
    try:
        started = start_from(network, tensors, output_names, description.output_names)
    except ValueError as error:
        arguments = " ".join(f"model.{key}={value}" for key, value in description.model.items() if type(value) is int)
        raise ValueError(
            f"init={given}: {error}; choose the network that was trained there, {description.network} {arguments}"
        ) from error
    return {"file": str(file), "crc32": crc_of_file(file), "took_over": started.told()}


def start_from(
    network: nn.Module, tensors: Mapping[str, Tensor], output_names: Sequence[str], stored_names: Sequence[str]
) -> Started:
    """Copy the tensors of a trained network into another by name; what does not fit stays as it was drawn.

    A first convolution of other input channels takes the mean over them, scaled so that equal channels give what they
    gave; an output layer of other classes takes the rows of those that have the same name.

    Args:
        network: Network to start; changed in place.
        tensors: Tensors of the trained one.
        output_names: Class, or region, of each output of the network.
        stored_names: The same of the trained one.

    Raises:
        ValueError: Nothing fits: these are two different networks.
    """
    state = network.state_dict()
    kept, adapted, new = [], {}, []
    taken = 0
    with torch.no_grad():
        for name, own in state.items():
            stored = tensors.get(name)
            if stored is not None and stored.shape == own.shape:
                own.copy_(stored)
                kept.append(name)
            elif stored is not None and (how := _fit(own, stored, output_names, stored_names)):
                adapted[name] = how
            else:
                new.append(name)
                continue
            taken += own.numel()
    if not kept:
        raise ValueError(
            f"no tensor fits: it has {some(_shapes(tensors), 2)}, the network here {some(_shapes(state), 2)}"
        )
    return Started(kept, adapted, new, taken / max(1, sum(tensor.numel() for tensor in state.values())))


def _fit(own: Tensor, stored: Tensor, names: Sequence[str], stored_names: Sequence[str]) -> str:
    """Fill a tensor from one of another shape; return how, or nothing where that makes no sense."""
    classes = (len(own), len(stored)) == (len(names), len(stored_names)) if own.ndim and stored.ndim else False
    if classes and own.shape[1:] == stored.shape[1:]:
        shared = [name for name in names if name in stored_names]
        for name in shared:
            own[names.index(name)] = stored[stored_names.index(name)]
        return f"keeps {some(shared)}" if shared else ""
    same = own.ndim == stored.ndim > 2 and own.shape[0] == stored.shape[0] and own.shape[2:] == stored.shape[2:]
    if same and min(own.shape[1], stored.shape[1]) <= MOST_CHANNELS:
        before, now = stored.shape[1], own.shape[1]
        own.copy_((stored.mean(dim=1, keepdim=True) * before / now).expand_as(own))
        return f"takes the mean of {before} channels for {now}"
    return ""


def _shapes(tensors: Mapping[str, Tensor]) -> list[str]:
    return [f"{name} {list(tensor.shape)}" for name, tensor in tensors.items()]
