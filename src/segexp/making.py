"""Objects from plain nodes with a ``_target_``: whatever a class refuses is told with key, value and reason."""

import inspect
import math
import re
from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from segexp.importable import found, targets_in
from segexp.signatures import require_types


def make(place: str, node: Any, **objects: Any) -> Any:
    """Build what a node names; None of None.

    Raises:
        ValueError: A value has another type than the class says, or the class refuses it.
    """
    if node is None:
        return None
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ValueError(
            f"{place}={node} names no class: choose an option with {place}=<option>, or give {place}._target_"
        )
    require_types(place, node)
    try:
        return instantiate(node, **objects, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ImportError):
            for target in targets_in(node):
                found(target)  # says where it was looked for
        about_names = isinstance(cause, TypeError) and "argument" in str(cause)  # see segexp.explain
        if type(cause) is ValueError and raised_here(cause):
            raise ValueError(_placed(place, node, str(cause), str(error))) from error
        if cause is None or about_names or isinstance(cause, ImportError | OSError) or raised_here(cause):
            raise
        raise ValueError(_refusal(place, node, cause)) from error


def _placed(place: str, node: Mapping[str, Any], told: str, where: str) -> str:
    """Let a sentence of our own class, which knows the names of its arguments alone, begin with the whole key.

    Args:
        place: Key of the node.
        node: What was built.
        told: Sentence.
        where: Message of Hydra, which names a node in this one at its end.
    """
    found = re.search(r"^full_key: (\S+)$", where, re.MULTILINE)
    inner: Any = node
    for name in found[1].split(".") if found else ():
        inner = inner.get(name) if isinstance(inner, Mapping) else None
    key = re.match(r"\w+(?=[=\[])", told)
    if key is None or not isinstance(inner, Mapping) or key[0] not in inner:
        return told
    return ".".join([place, *([found[1]] if found else []), told])


def make_class(key: str, node: Mapping[str, Any]) -> Any:
    """Build what may be of any class; tell which keys of the node it does not take, and which ones it needs.

    Raises:
        ValueError: There are some.
    """
    try:
        return make(key, node)
    except InstantiationException as error:
        faults = _wrong_arguments(node) if isinstance(error.__cause__, TypeError) else ""
        if not faults:
            raise
        raise ValueError(f"{key}: {node['_target_']} {faults}.{_remedy(key, node, faults)}") from error


def _remedy(key: str, node: Mapping[str, Any], faults: str) -> str:
    """Say how a class is given its own keys, and those alone."""
    target, group = node["_target_"], key.partition(".")[0]
    if group != "model" and not inspect.isclass(get_object(target)):
        return f" If this function is not to be called now, but is what you mean: +{key}._partial_=true"
    if group != key:
        return ""
    add = f"dd its own with +{key}.<key>=<value>, or write a file (docs/extending.md)"
    if not faults.startswith("takes no"):  # nothing of another class is in the way
        return f" A{add}"
    return f" Begin with {key}=custom {key}._target_={target}, which brings no keys of other classes, and a{add}"


def _wrong_arguments(node: Mapping[str, Any]) -> str:
    """Say which keys of a node its class does not take, and which ones it needs; empty where all is well."""
    takes = inspect.signature(get_object(node["_target_"])).parameters.values()
    by_name = [one for one in takes if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    given = [key for key in node if not key.startswith("_")]
    any_key = any(one.kind == one.VAR_KEYWORD for one in takes)
    wrong = [] if any_key else [key for key in given if key not in [one.name for one in by_name]]
    lacking = [one.name for one in by_name if one.default is one.empty and one.name not in given]
    faults = [f"{what} {', '.join(keys)}" for what, keys in (("takes no", wrong), ("needs", lacking)) if keys]
    return f"{' and '.join(faults)}; it takes {', '.join(one.name for one in by_name)}" if faults else ""


def called(place: str, node: Mapping[str, Any], function: Any, *objects: Any) -> Any:
    """Call what `make_function` has built.

    Raises:
        ValueError: It refuses a setting of the node.
    """
    try:
        return function(*objects)
    except Exception as error:
        if raised_here(error):
            raise
        raise ValueError(_refusal(place, node, error)) from error


def _refusal(place: str, node: Mapping[str, Any], error: BaseException) -> str:
    """Say which class refuses which settings, those that its message mentions, and why."""
    why = " ".join(str(error).split())
    settings = {key: value for key, value in node.items() if not key.startswith("_")}
    named = [key for key, value in settings.items() if _mentions(why, key) or _mentions(why, str(value))]
    shown = ", ".join(f"{place}.{key}={settings[key]}" for key in named or settings)
    lists = [key for key in named or settings if isinstance(settings[key], list)]
    tensor = (
        f"; as a tensor: +{place}.{lists[0]}={{_target_: torch.tensor, data: {settings[lists[0]]}}}" if lists else ""
    )
    tensor = re.sub(r"(?<=[\[ ])(\d+)(?=[,\]])", r"\1.0", tensor)  # of integers it would be one of integers
    remedy = tensor if "Tensor" in why else ""
    return f"{node['_target_']} refuses {shown}: {why or type(error).__name__}{remedy}"


def _mentions(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.])", text) is not None if word else False


def make_function(group: str, node: Mapping[str, Any]) -> Any:
    """Build a function that is called later.

    Raises:
        ValueError: A key is none of its arguments, such as one that a recipe has set for another option of the group.
    """
    for key, value in node.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{group}.{key}={value} must be finite: give a number such as 1e-3")
    function = make(group, node)
    try:
        inspect.signature(function.func).bind_partial(**function.keywords)
    except TypeError as error:
        takes = inspect.signature(function.func).parameters
        wrong = [key for key in function.keywords if key not in takes]
        raise ValueError(
            f"{group}: {function.func.__name__} takes no {', '.join(wrong)}: "
            f"leave it out with {' '.join(f'~{group}.{key}' for key in wrong)}"
        ) from error
    return function


def raised_here(error: BaseException) -> bool:
    """Whether the innermost frame of the traceback is segexp's own code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("segexp")
