"""Cases to look through: their names, and how each becomes a view."""

from collections.abc import Callable
from dataclasses import dataclass

from segexp.viewers.layers import View


@dataclass(frozen=True)
class Gallery:
    """Cases to look through.

    Attributes:
        title: What they are cases of.
        names: Names of the cases, at least one.
        load: Function from a name to what is shown of the case; may raise a ValueError or an OSError that says why not.
    """

    title: str
    names: tuple[str, ...]
    load: Callable[[str], View]
