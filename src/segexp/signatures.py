"""What classes and functions take: the names of their arguments, and whether values have the type that they name.

Configuration files and the command line give plain values. Whether one fits is seen from the annotations of whatever
class a node names, ours or another library's, before it is built: the class itself might fail later, or somewhere else.
"""

import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Union

from segexp.importable import found
from segexp.unimported import signature_of

OURS = "segexp."  # start of the names of classes that keep to their annotations
ANYTHING = "**"  # among the names of arguments: any further name
PLAIN = {  # annotation: values that it takes, in words
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "null",
}


def located(target: str) -> Any:
    """Import a class or function by its dotted path; None where that fails, for whoever builds it to say why."""
    with suppress(Exception):  # whatever a foreign module raises
        return found(target)
    return None


def parameters(target: str) -> list[str]:
    """Names of the arguments of a class or function; none where it cannot be imported.

    They are read from its source where it is not imported yet, and the source tells.
    """
    with suppress(TypeError, ValueError):
        signature = (None if _is_imported(target) else signature_of(target)) or inspect.signature(located(target))
        return [ANYTHING if item.kind is item.VAR_KEYWORD else item.name for item in signature.parameters.values()]
    return []


def _is_imported(target: str) -> bool:
    module, _, name = target.rpartition(".")
    return name in vars(sys.modules[module]) if module in sys.modules else False


def require_types(place: str, node: Any, imported: bool = True) -> None:
    """Refuse values of a node, and of the nodes in it, that have another type than their class says.

    Nothing holds classes of others to their annotations, which are often narrower than what they take: there only text,
    or true and false, in place of a number is refused.

    Args:
        place: Key of the node, for messages.
        node: Plain content of a configuration, ``_target_`` included.
        imported: Whether classes may be imported; else what their source does not tell plainly is taken.

    Raises:
        ValueError: Names key, value and the types that are taken.
    """
    if isinstance(node, list):
        for index, item in enumerate(node):
            require_types(f"{place}.{index}", item, imported)
    if not isinstance(node, Mapping):
        return
    if "_target_" in node:
        target = str(node["_target_"])
        ours = target.startswith(OURS)
        known = _hints(target) if imported else _read_hints(target)
        hints = {key: hint for key, hint in known if ours or _is_no_number(node.get(key), hint)}
        require_hints(place, node, hints)
    for key, value in node.items():
        require_types(f"{place}.{key}", value, imported)


def require_hints(place: str, values: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    """Refuse values that have another type than their annotations; see `require_types`."""
    for key, value in values.items():
        name = f"{place}.{key}" if place else key
        fits = key not in hints or _fits(value, hints[key])
        # Of a mapping the very value is named that is wrong.
        for option in _options(hints.get(key)) if isinstance(value, Mapping) else ():
            items = typing.get_args(option)[1:]
            if typing.is_typeddict(option):
                require_hints(name, value, typing.get_type_hints(option))
            elif items and (not fits or typing.is_typeddict(items[0])):
                require_hints(name, value, dict.fromkeys(value, items[0]))
        if not fits:
            raise ValueError(f"{name}={_shown(value)} must be {_in_words(hints[key])}")


def require_keys(place: str, values: Mapping[str, Any], kind: Any) -> None:
    """Refuse a mapping that lacks keys of its TypedDict, or of those in it, such as after ~trainer on the command line.

    Raises:
        ValueError: Names the key and the remedy.
    """
    for key, hint in typing.get_type_hints(kind).items():
        name = f"{place}.{key}" if place else key
        if key not in values and key in kind.__required_keys__:
            raise ValueError(f"{name} is missing: leave out what takes it away, such as ~{name}")
        if typing.is_typeddict(hint) and isinstance(values.get(key), Mapping):
            require_keys(name, values[key], hint)


def _hints(target: str) -> Iterator[tuple[str, Any]]:
    """Annotations of arguments."""
    found = located(target)
    with suppress(Exception):  # annotations that cannot be resolved say nothing
        hints = typing.get_type_hints(found.__init__ if inspect.isclass(found) else found)
        yield from _with_defaults(inspect.signature(found), hints)


def _read_hints(target: str) -> Iterator[tuple[str, Any]]:
    """Annotations of arguments, from the source."""
    signature = signature_of(target)
    if signature is not None:
        hints = {name: item.annotation for name, item in signature.parameters.items() if item.annotation is not Any}
        yield from _with_defaults(signature, hints)


def _with_defaults(signature: inspect.Signature, hints: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Annotations of arguments; a default value of another type is taken, too."""
    for name, parameter in signature.parameters.items():
        if name in hints and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            given = parameter.default
            known = given is parameter.empty or _fits(given, hints[name])
            yield name, hints[name] if known else Union[hints[name], type(given)]  # noqa: UP007 - of values


def _is_no_number(value: Any, hint: Any) -> bool:
    numbers = [option for option in _options(hint) if option in (bool, int, float)]
    return bool(numbers) and (isinstance(value, str) or (isinstance(value, bool) and bool not in numbers))


def _options(hint: Any) -> list[Any]:
    """Annotations of which one is enough."""
    if typing.get_origin(hint) in (Union, types.UnionType):
        return [option for part in typing.get_args(hint) for option in _options(part)]
    return [hint]


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is what an annotation takes; whatever is no plain annotation takes everything."""
    if _is_object(value):
        return True
    return any(_fits_one(value, option) for option in _options(hint))


def _fits_one(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in (Literal, Any) or not inspect.isclass(origin):
        return True  # the class says itself which words it takes
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is Path:
        return isinstance(value, str | Path)
    if origin in (bool, str, type(None)):
        return isinstance(value, origin)
    if issubclass(origin, str | Mapping):
        right = isinstance(value, str if issubclass(origin, str) else Mapping)
        return right and all(_fits(item, hint) for hint in inner[1:] for item in value.values())
    if issubclass(origin, Sequence | set | frozenset) or _is_iterable(origin):
        # Of a mapping the keys are taken, such as the names of regions.
        return isinstance(value, list | tuple | Mapping) and all(
            _fits(item, hint) for item in value for hint in inner[:1]
        )
    return not getattr(origin, "_is_protocol", False) and isinstance(value, origin)


def _is_iterable(origin: type) -> bool:
    return origin.__module__ == "collections.abc" and origin.__name__ in ("Iterable", "Collection")


def _is_object(value: Any) -> bool:
    """Whether an object is built of it, or it is one."""
    if isinstance(value, Mapping):
        return "_target_" in value
    return not isinstance(value, bool | int | float | str | list | tuple | type(None))


def _in_words(hint: Any) -> str:
    """What an annotation takes; what no configuration can give is named only if there is nothing else."""
    plain, others = [], []
    for option in _options(hint):
        origin, inner = typing.get_origin(option) or option, typing.get_args(option)
        if origin in PLAIN:
            plain.append(PLAIN[origin])
        elif origin is Literal:
            plain.extend(map(repr, inner))
        elif inspect.isclass(origin) and issubclass(origin, Mapping):
            plain.append("a mapping {…: …}")
        elif inspect.isclass(origin) and (issubclass(origin, Sequence | set | frozenset) or _is_iterable(origin)):
            plain.append(f"a list […], each {_in_words(inner[0])}" if inner else "a list […]")
        else:
            others.append(f"a {getattr(origin, '__name__', str(origin))}")
    return " or ".join(dict.fromkeys(plain or others))


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)
