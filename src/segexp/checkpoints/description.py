"""What a checkpoint or package may say of itself: plain values, key by key, within bounds.

Files may come from strangers. Nothing here builds, imports or opens what a file names.
"""

import math
import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from segexp.data.field_of_view import FIELDS_OF_VIEW
from segexp.data.intensity.rules import rule_from
from segexp.errors import did_you_mean
from segexp.postprocessing.postprocess import STEPS, PostProcess

MOST_VALUES = 20_000  # of a description, all levels together
MOST_LEVELS = 8
MOST_TILE_PIXELS = 2**27  # 512 x 512 x 512


class Rule(NamedTuple):
    """What a value must be.

    Attributes:
        words: In words, after "must be".
        holds: Whether a value is that.
    """

    words: str
    holds: Callable[[Any], bool]


def whole(low: int, high: int) -> Rule:
    """An integer, no truth value, within bounds."""
    return Rule(f"an integer from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


def number(low: float, high: float) -> Rule:
    """A finite number within bounds."""
    return Rule(
        f"a number from {low:g} to {high:g}", lambda value: type(value) in (int, float) and low <= value <= high
    )


def text(most: int = 200) -> Rule:
    """Printable characters, at most so many."""
    return Rule(
        f"1 to {most} printable characters",
        lambda value: type(value) is str and 0 < len(value) <= most and value.isprintable(),
    )


def one_of(*options: object) -> Rule:
    """One of some values, of the same type."""
    return Rule(
        f"one of {list(options)}",
        lambda value: any(type(value) is type(option) and value == option for option in options),
    )


def several(rule: Rule, least: int, most: int) -> Rule:
    """A list whose items keep a rule."""
    return Rule(
        f"a list of {least} to {most}, each {rule.words}",
        lambda value: type(value) is list and least <= len(value) <= most and all(map(rule.holds, value)),
    )


def named(rule: Rule, most: int = 1000) -> Rule:
    """A mapping of names to values that keep a rule."""
    return Rule(
        f"names with, each, {rule.words}",
        lambda value: (
            type(value) is dict
            and len(value) <= most
            and all(text().holds(key) and rule.holds(item) for key, item in value.items())
        ),
    )


def maybe(rule: Rule) -> Rule:
    """None, or what keeps the rule."""
    return Rule(f"none or {rule.words}", lambda value: value is None or rule.holds(value))


def either(*rules: Rule) -> Rule:
    """What keeps one of the rules."""
    return Rule(" or ".join(rule.words for rule in rules), lambda value: any(rule.holds(value) for rule in rules))


SIDE = whole(1, 65_536)
SCALAR = either(one_of(True, False, None), number(-1e30, 1e30), text())
PLAIN = either(SCALAR, several(SCALAR, 0, 1000))
DESCRIPTION = {
    "network": text(100),
    "model": named(PLAIN, 100),
    "activation": one_of("softmax", "sigmoid"),
    "class_names": several(text(), 1, 1000),
    "label_values": several(number(-(2**32), 2**32), 1, 1000),
    "regions": maybe(named(several(whole(0, 999), 1, 1000))),
    "channels": whole(1, 4096),
    "spatial_dims": one_of(2, 3),
    "context": whole(0, 100),
    "slice_axis": one_of(0, 1, 2),
    "spacing": maybe(several(number(1e-9, 1e9), 2, 3)),
    "distance_unit": one_of("px", "mm"),
    "patch_size": several(SIDE, 2, 3),
    "intensity": named(either(PLAIN, maybe(named(several(number(-1e30, 1e30), 1, 4096), 10))), 10),
    "field_of_view": maybe(one_of(*FIELDS_OF_VIEW)),
    "chosen": named(number(-1e30, 1e30)),
    "inference": named(PLAIN, 5),
    "postprocess": maybe(named(named(either(PLAIN, named(PLAIN, 1000)), 20), len(STEPS))),
    "segexp_version": text(50),
}
INFERENCE = {
    "tile": maybe(either(SIDE, several(SIDE, 2, 3))),
    "overlap": Rule("a share from 0 to below 1", lambda value: type(value) in (int, float) and 0 <= value < 1),
    "border": either(one_of("auto"), whole(0, 65_536)),
    "blending": one_of("gaussian", "constant"),
    "batch_size": whole(1, 4096),
}
LATER = (
    *("label_values", "distance_unit", "spatial_dims", "inference", "postprocess", "segexp_version", "chosen"),
    "field_of_view",
)


def checked_description(given: Any, where: str) -> dict[str, Any]:
    """Check a description, and fill in what checkpoints of earlier versions do not say.

    Args:
        given: As it was read.
        where: File, for messages.

    Raises:
        ValueError: A key is missing or unknown, or a value is not what it must be; names file, key, value and rule.
    """
    require_small(given, where)
    require_keys(given, DESCRIPTION, LATER, where)
    found = _earlier(given) | given
    require_rules(found, DESCRIPTION, where)
    _require_inference(found, where)
    _require_classes(found, where)
    for key, make in (("intensity", rule_from), ("postprocess", PostProcess)):
        try:
            make(found[key] or {})
        except (ValueError, TypeError) as error:
            raise ValueError(f"{where}: {key}: {error}") from error
    return {key: found[key] for key in DESCRIPTION}


def _earlier(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the keys that came later stood for before."""
    names, model, patch = (given.get(key) for key in ("class_names", "model", "patch_size"))
    return {
        "label_values": list(range(len(names))) if type(names) is list else None,
        "distance_unit": "px",
        "spatial_dims": model.get("spatial_dims", 2) if type(model) is dict else None,
        "inference": {"tile": patch, "overlap": 0.25, "border": "auto", "blending": "gaussian", "batch_size": 4},
        "postprocess": None,
        "segexp_version": "unknown",
        "chosen": {},
        "field_of_view": None,
    }


def _require_inference(found: Mapping[str, Any], where: str) -> None:
    settings, dims = found["inference"], found["spatial_dims"]
    require_keys(settings, INFERENCE, (), f"{where}: inference")
    require_rules(settings, INFERENCE, f"{where}: inference")
    for key, size in (("patch_size", found["patch_size"]), ("inference.tile", settings["tile"])):
        sides = [size] * dims if type(size) is int else size or [1] * dims
        if len(sides) != dims or math.prod(sides) > MOST_TILE_PIXELS:
            raise ValueError(f"{where}: {key}={size} must have {dims} sides and {MOST_TILE_PIXELS} pixels at most")


def _require_classes(found: Mapping[str, Any], where: str) -> None:
    names, values, regions = found["class_names"], found["label_values"], found["regions"]
    if len(values) != len(names) or len(set(values)) != len(values):
        raise ValueError(
            f"{where}: label_values={shown(values)} must be one each, all different, for {len(names)} classes"
        )
    for name, classes in (regions or {}).items():
        if max(classes) >= len(names):
            raise ValueError(f"{where}: regions: {name!r} has class {max(classes)}, but there are {len(names)} classes")
    if regions == {}:
        raise ValueError(f"{where}: regions={{}} must be none or name some")


def require_keys(given: Any, known: Collection[str], optional: Collection[str], where: str) -> None:
    """Refuse what is no mapping, has a key that is not known, or lacks one.

    Raises:
        ValueError: Names file and key.
    """
    if type(given) is not dict or not all(type(key) is str for key in given):
        raise ValueError(f"{where}: {shown(given)} must be a mapping with the keys {sorted(known)}")
    for key in given:
        if key == "_target_":
            raise ValueError(f"{where}: _target_={shown(given[key])}: a file may not name what is to be called")
        if key not in known:
            raise ValueError(f"{where}: {shown(key)} is no key of this place{did_you_mean(key[:100], known)}")
    missing = [key for key in known if key not in given and key not in optional]
    if missing:
        raise ValueError(f"{where}: {', '.join(missing)} must be there")


def require_rules(given: Mapping[str, Any], rules: Mapping[str, Rule], where: str) -> None:
    """Refuse a value that does not keep the rule of its key.

    Raises:
        ValueError: Names file, key, value and rule.
    """
    for key, rule in rules.items():
        if not rule.holds(given[key]):
            raise ValueError(f"{where}: {key}={shown(given[key])} must be {rule.words}")


def require_small(value: Any, where: str) -> None:
    """Refuse a value of too many parts or levels, before anything goes through it, and any key ``_target_``.

    Raises:
        ValueError: Names file and limit.
    """
    waiting, count = [(value, 0)], 0
    while waiting:
        item, level = waiting.pop()
        count += 1
        if count > MOST_VALUES or level > MOST_LEVELS:
            raise ValueError(f"{where}: more than {MOST_VALUES} values or {MOST_LEVELS} levels: no description of ours")
        if isinstance(item, Mapping):
            if "_target_" in item:
                told = shown(item["_target_"])
                raise ValueError(f"{where}: _target_={told}: a file may not name what is to be called")
            waiting += [(part, level + 1) for part in item.values()][: MOST_VALUES + 1]
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += [(part, level + 1) for part in item][: MOST_VALUES + 1]


def shown(value: object) -> str:
    """Return a value for a message, cut short; of what is no plain value its type alone."""
    if not isinstance(value, str | int | float | list | dict | tuple | None):
        return f"<{type(value).__name__}>"
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    return short.repr(value)
