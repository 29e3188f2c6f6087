"""What plain values of a file, which may come from strangers, must be: in words and as a check."""

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from segexp.errors import did_you_mean

MOST_VALUES = 20_000  # of a description, all levels together
MOST_LEVELS = 8
SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx", "torch_export": ".pt2"}  # of exported networks, by format


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


def require_fields(plain: Any, rules: Mapping[str, Rule], where: str) -> None:
    """Refuse what is no small mapping with exactly the keys of ``rules``, or has a value that does not keep its rule.

    Raises:
        ValueError: Names file, key, value and rule.
    """
    require_small(plain, where)
    if type(plain) is not dict or not all(type(key) is str for key in plain):
        raise ValueError(f"{where}: {shown(plain)} must be a mapping with the keys {sorted(rules)}")
    for key in plain:
        if key not in rules:
            raise ValueError(f"{where}: {shown(key)} is no key of this place{did_you_mean(key[:100], rules)}")
    missing = [key for key in rules if key not in plain]
    if missing:
        raise ValueError(f"{where}: {', '.join(missing)} must be there")
    require_rules(plain, rules, where)


def require_rules(plain: Mapping[str, Any], rules: Mapping[str, Rule], where: str) -> None:
    """Refuse a value that does not keep the rule of its key; keys without a rule may have any.

    Raises:
        ValueError: Names file, key, value and rule.
    """
    for key, rule in rules.items():
        if not rule.holds(plain[key]):
            raise ValueError(f"{where}: {key}={shown(plain[key])} must be {rule.words}")


def require_small(value: Any, where: str, targets: bool = False) -> None:
    """Refuse a value of too many parts or levels, before anything goes through it, and, unless allowed, ``_target_``.

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
            if "_target_" in item and not targets:
                target = shown(item["_target_"])
                raise ValueError(f"{where}: _target_={target}: a file may not name what is to be called")
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
