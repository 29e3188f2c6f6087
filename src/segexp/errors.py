"""Messages for the user: errors of input by value, rule and remedy, and short paths."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path


def did_you_mean(value: object, allowed: Iterable[object]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest allowed word, or an empty string."""
    near = get_close_matches(str(value), [str(word) for word in allowed], n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def require_choice(name: str, value: object, allowed: Iterable[object]) -> None:
    """Refuse a value that is not among the allowed ones.

    Raises:
        ValueError: Names the argument, the value, all allowed values and the nearest one.
    """
    choices = list(allowed)
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {choices}{did_you_mean(value, choices)}")


def require_at_least(name: str, value: object, low: float, integer: bool = False) -> None:
    """Refuse what is not a finite number (an integer if ``integer``) of at least ``low``.

    Raises:
        ValueError: Names the argument, the value and the rule.
    """
    if not _is_number(value, integer) or not value >= low:  # type: ignore[operator]
        raise ValueError(f"{name}={value!r} must be {_kind(value, integer)} of at least {low}")


def require_between(
    name: str, value: object, low: float, high: float, why: str = "", *, integer: bool = False, open_at: str = ""
) -> None:
    """Refuse what is not a number (an integer if ``integer``) between two bounds.

    Args:
        name: Name of the argument.
        value: Value of the argument.
        low: Lower bound.
        high: Upper bound.
        why: Reason or remedy, added to the message.
        integer: Whether integers alone are allowed.
        open_at: Bounds that the value must not reach: "", "low", "high" or "both".

    Raises:
        ValueError: Names the argument, the value, the rule and the reason.
    """
    above = f"above {low}" if open_at in ("low", "both") else f"of at least {low}"
    below = f"below {high}" if open_at in ("high", "both") else f"at most {high}"
    inside = _is_number(value, integer) and low <= value <= high  # type: ignore[operator]
    if not inside or (value == low and "above" in above) or (value == high and "below" in below):
        raise ValueError(f"{name}={value!r} must be {_kind(value, integer)} {above} and {below}{why and f': {why}'}")


def require_each(name: str, values: object, low: float, high: float, why: str = "", *, open_at: str = "") -> None:
    """Refuse what is not a list of one or more numbers between two bounds; arguments as ``require_between``.

    Raises:
        ValueError: Names the argument, the first value that is wrong, the rule and the reason.
    """
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise ValueError(f"{name}={values!r} must be a list of one or more numbers{why and f': {why}'}")
    for index, value in enumerate(values):
        require_between(f"{name}[{index}]", value, low, high, why, open_at=open_at)


def _kind(value: object, integer: bool) -> str:
    if integer:
        return "an integer"
    return "a finite number" if value in (math.inf, -math.inf) else "a number"


def _is_number(value: object, integer: bool) -> bool:
    kind = int if integer else int | float
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)


def require_regular_file(path: Path) -> None:
    """Refuse a pipe, device or socket, which would be waited for; folders, and what is not there, are for others.

    Raises:
        ValueError: Names the path.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{path} is a pipe, device or socket: give a regular file")


@contextmanager
def naming(path: Path, remedy: str = "check that it is complete") -> Iterator[None]:
    """Refuse what is no regular file, and turn whatever a decoder raises into one ValueError that names the file."""
    require_regular_file(path)
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = lines[-1] if lines else type(error).__name__
        if isinstance(error, RuntimeError) and "SimpleITK" in str(error):  # about its own code
            reason = "SimpleITK cannot decode it"
        raise ValueError(f"{path} cannot be read ({reason}): {remedy}") from error


def type_name(value: object) -> str:
    """Full name of the type of a value, of Python's own types without their module."""
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def name_of(function: object) -> str:
    """Name of a function or class, also of one whose arguments are partly given, else of the class of an object."""
    if isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def first_line(error: BaseException, most: int = 160) -> str:
    """Type and first line, cut after ``most`` characters, of an error that the code of others raised."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:most] if lines else ''}".rstrip()


def some(items: Iterable[object], most: int = 10) -> str:
    """Name the first items and count the others, for messages."""
    words = [str(item) for item in items]
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def times(lengths: Iterable[float]) -> str:
    """Write lengths per axis as 512×512."""
    return "×".join(f"{length:.6g}" for length in lengths)


def short_path(path: Path) -> Path:
    """Shorten a path that lies below the working directory to what a user there would write."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
