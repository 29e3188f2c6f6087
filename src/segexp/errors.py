"""Short sentences for people: what is wrong with an input by value, rule and remedy, and how a path is shown."""

from collections.abc import Iterable
from difflib import get_close_matches
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


def require_at_least(name: str, value: object, least: float, whole: bool = False) -> None:
    """Refuse what is not a number of at least ``least`` (a whole number if ``whole``).

    Raises:
        ValueError: Names the argument, the value and the rule.
    """
    kind: tuple[type, ...] = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:  # type: ignore[operator]
        raise ValueError(f"{name}={value!r} must be a {'whole ' if whole else ''}number of at least {least}")


def short_path(path: Path) -> Path:
    """Shorten a path that lies below the working directory to what a user there would write."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
