"""Parts of the cases as the configuration gives them: a fraction, or positions such as "3,7-9"."""

from segexp.errors import require_between


def fraction_of(key: str, value: float | int | str) -> float:
    """Check a fraction in [0, 1)."""
    if isinstance(value, str):
        raise ValueError(
            f"{key}={value!r} must be a fraction such as 0.2: positions go with data.split.method=contiguous"
        )
    why = 'write 0.2 for a fifth, or (contiguous) positions such as "20-23"'
    require_between(key, value, 0, 1, why, open_at="high")
    return value


def positions_of(key: str, value: float | int | str, free: list[int], count: int) -> list[int]:
    """Turn a fraction, taken from the end of the free positions, or a list of ranges into positions."""
    if isinstance(value, float) or value == 0:
        fraction = fraction_of(key, value)
        return free[max(0, len(free) - max(1, round(fraction * count))) :] if fraction else []
    return [position for piece in str(value).split(",") for position in _range(key, piece.strip(), count)]


def _range(key: str, piece: str, count: int) -> range:
    first, _, last = piece.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()):
        raise ValueError(
            f'{key}: {piece!r} is neither a position nor a range; write "20-23" or "3,7-9" or a fraction 0.2'
        )
    start, stop = int(first), int(last or first) + 1
    if stop > count or start >= stop:
        raise ValueError(f"{key}: {piece!r} does not lie in the {count} cases, numbered 0-{count - 1}")
    return range(start, stop)
