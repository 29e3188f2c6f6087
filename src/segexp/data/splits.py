"""Which cases train, which choose (epoch, threshold), which are scored.

Everything is contiguous in the source's order: neighbouring slices of a stack are nearly equal, and a random split
would let the test set leak into training.
"""

from dataclasses import dataclass

from segexp.errors import require_at_least


@dataclass(frozen=True)
class Split:
    """Names of the cases on the three sides; ``test`` may be empty."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        sides = [*self.train, *self.val, *self.test]
        twice = sorted({name for name in sides if sides.count(name) > 1})
        if twice:
            raise ValueError(
                f"cases {twice} stand on two sides of the split: data.split.val and .test must not overlap"
            )
        for side in ("train", "val"):
            if not getattr(self, side):
                raise ValueError(
                    f"the split of {len(sides)} cases leaves none for {side}: change data.split or data.fold"
                )


def holdout(names: list[str], val: float | int | str, test: float | int | str) -> Split:
    """Hold out contiguous blocks; the rest trains.

    Args:
        names: All cases in order.
        val: A share in (0, 1), taken right before the test cases; or positions such as "20-23" or "3,7-9".
        test: The same, taken from the end; 0 = no test cases.

    Raises:
        ValueError: Positions out of range, sides that overlap or stay empty.
    """
    tested = _positions("data.split.test", test, list(range(len(names))), len(names))
    free = [i for i in range(len(names)) if i not in set(tested)]
    chosen = _positions("data.split.val", val, free, len(names))
    trained = [i for i in free if i not in set(chosen)]
    return Split(*(tuple(names[i] for i in side) for side in (trained, chosen, tested)))


def contiguous_fold(names: list[str], folds: int, fold: int, val: float | int | str) -> Split:
    """Fold ``fold`` of ``folds`` contiguous blocks is tested; as many cases as ``val`` means, right before it
    (cyclically), choose; the rest trains.

    Raises:
        ValueError: Fewer cases than folds, or no such fold.
    """  # noqa: D205
    require_at_least("data.folds", folds, 2, whole=True)
    require_at_least("data.fold", fold, 0, whole=True)
    count = len(names)
    if fold >= folds or count < folds:
        raise ValueError(
            f"data.fold={fold}: {count} cases have folds 0 to {min(folds, count) - 1} (data.folds={folds})"
        )
    start, stop = fold * count // folds, (fold + 1) * count // folds
    held = len(_positions("data.split.val", val, list(range(count)), count))
    tested = list(range(start, stop))
    chosen = sorted((start - 1 - i) % count for i in range(min(held, count - len(tested))))
    trained = [i for i in range(count) if i not in {*tested, *chosen}]
    return Split(*(tuple(names[i] for i in side) for side in (trained, chosen, tested)))


def _positions(key: str, part: float | int | str, free: list[int], count: int) -> list[int]:
    """Turn a share or a list of ranges into positions."""
    if isinstance(part, float) or part == 0:
        require_at_least(key, part, 0)
        if part >= 1:
            raise ValueError(f'{key}={part} is no share below 1: write 0.2 for a fifth, or positions such as "20-23"')
        return free[len(free) - max(1, round(part * count)) :] if part else []
    return [i for piece in str(part).split(",") for i in _range(key, piece.strip(), count)]


def _range(key: str, piece: str, count: int) -> range:
    first, _, last = piece.partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        raise ValueError(f'{key}: {piece!r} is neither a position nor a range; write "20-23" or "3,7-9" or a share 0.2')
    start, stop = int(first), int(last or first) + 1
    if stop > count or start >= stop:
        raise ValueError(f"{key}: {piece!r} does not lie in the {count} cases, numbered 0-{count - 1}")
    return range(start, stop)
