"""Networks by name: our own list, from which a file may choose, and classes that the user must vouch for."""

import inspect
import re
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from segexp.checkpoints.description import ModelDescription
from segexp.checkpoints.rules import Rule, one_of, require_rules, shown
from segexp.errors import require_choice
from segexp.importable import found, targets_in
from segexp.models import FCN8s, Network, PretrainedUNet, UNet, UNetPlusPlus, adapted
from segexp.runs.ownership import is_own_network

NETWORKS: dict[str, type[Network]] = {
    network.__name__: network for network in (FCN8s, PretrainedUNet, UNet, UNetPlusPlus)
}
RULES = {  # of arguments, their defaults included, so that nothing is fetched from elsewhere
    "PretrainedUNet": {
        "weights": Rule("null: a file brings its own", one_of(None).holds),
        "encoder": Rule(
            "a name of letters, digits, '_', '-' and '.'", lambda value: bool(re.fullmatch(r"[\w.-]+", value))
        ),
    }
}
MOST = {"depth": 10, "deep_supervision": 10, "base_channels": 1024, "num_classes": 1000}
MOST_OTHERWISE = 65_536
Given = nn.Module | Callable[..., nn.Module]
Trust = bool | Collection[str]
SPECIAL = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}  # keys of Hydra's in a node


def name_and_arguments(network: nn.Module, node: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name of a network and its arguments, with which a file describes it.

    Args:
        network: Network as it was built.
        node: Configuration that it was built of.

    Returns:
        Of a class of ours its name and what it tells; of any other one its dotted path and the arguments of the node.
    """
    if type(network) in NETWORKS.values():
        return type(network).__name__, network.config  # type: ignore[return-value]
    return str(node["_target_"]), {key: value for key, value in node.items() if key != "_target_"}


def build_ours(name: str, arguments: Mapping[str, Any]) -> Network:
    """Build a network of our list once its arguments were found to be such.

    Raises:
        ValueError: There is no such network, or an argument is not one that it takes.
    """
    require_choice("network", name, NETWORKS)
    _require_arguments(name, arguments)
    return NETWORKS[name](**arguments)


def _require_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that the network does not have, of another type, or of a size that no one needs."""
    network: Any = NETWORKS[name]
    hints = typing.get_type_hints(network.__init__)
    defaults = {key: parameter.default for key, parameter in inspect.signature(network).parameters.items()}
    for key, value in arguments.items():
        require_choice("argument", key, defaults)
        kinds = [typing.get_origin(kind) or kind for kind in typing.get_args(hints[key]) or (hints[key],)]
        kind = Sequence if type(value) is list else type(value)
        if kind not in kinds and not (kind is int and float in kinds):
            raise ValueError(f"{key}={shown(value)} must be of type {' or '.join(kind.__name__ for kind in kinds)}")
        if any(number > MOST.get(key, MOST_OTHERWISE) for number in _integers(value)):
            raise ValueError(f"{key}={shown(value)} must be {MOST.get(key, MOST_OTHERWISE)} at most")
    require_rules(defaults | dict(arguments), RULES.get(name, {}), "model")


def _integers(value: Any) -> Iterator[int]:
    """Go through an integer, or those in nested lists."""
    if isinstance(value, list):
        for part in value:
            yield from _integers(part)
    elif type(value) is int:
        yield value


def build_foreign(description: ModelDescription, given: Given | None, trust: Trust) -> Network:
    """Build a network of a class that is none of ours: what the user gives, else what the file names, if vouched for.

    Raises:
        ImportError: A class cannot be imported.
        ValueError: Nobody vouches for a class that the file names, or it gives other logits; names class and remedy.
    """
    if isinstance(given, nn.Module):
        built = given
    elif given is not None:
        _require_vouched(targets_in(description.model), (), "give a module that is built already: network=<module>")
        built = given(**description.model)
    else:
        own = is_own_network(description.network, description.model, description.signature)
        names = [description.network, *targets_in(description.model)]
        if not own:
            _require_vouched(
                names,
                trust,
                "a file may not name what is called unless you vouch for it: --config-dir=<folder> with a file below "
                "model/ that names this class, --trust if the file is yours, or open_model(path, network=<class>)",
            )
        built = _call({"_target_": description.network, **description.model})
    return adapted(built, description.in_channels, len(description.output_names), description.patch_size)


def _require_vouched(names: Collection[str], trust: Trust, remedy: str) -> None:
    unknown = [] if trust is True else [name for name in names if name not in (trust or ())]
    if unknown:
        raise ValueError(f"its network is of {shown(unknown[0])}, which is no class of segexp: {remedy}")


def _call(node: Any) -> Any:
    """Build what a node describes, as Hydra does."""
    if isinstance(node, list | tuple):
        return [_call(value) for value in node]
    if not isinstance(node, Mapping):
        return node
    values = {key: _call(value) for key, value in node.items() if key not in SPECIAL}
    if "_target_" not in node:
        return values
    function = found(str(node["_target_"]))
    arguments = _call(node.get("_args_", []))
    return partial(function, *arguments, **values) if node.get("_partial_") else function(*arguments, **values)
