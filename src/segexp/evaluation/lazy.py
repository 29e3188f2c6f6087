"""Sequences whose items are made each time they are asked for, so that no more than one need be in memory."""

from collections.abc import Callable, Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class Lazy(Sequence[T]):
    """A sequence of items that a function makes.

    Args:
        count: Number of items.
        make: Function that makes the item of a number, 0 to ``count`` - 1.
    """

    def __init__(self, count: int, make: Callable[[int], T]) -> None:
        self.numbers = range(count)
        self.make = make

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self.make(number) for number in self.numbers[index]]
        return self.make(self.numbers[index])
