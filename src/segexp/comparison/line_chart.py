"""Lines in a plot, as SVG that stands in a page."""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 460, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 34  # margins
TICKS = 5
COLORS = 8  # of page.css, --c0 to --c7
NEAR = 2.0  # units: a line that stays so near to another would hide it
MOSTLY = 0.75  # of its points


def line_chart(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw lines against epochs.

    Args:
        title: Title above.
        lines: Points (epoch, value) of each line, by name.

    Returns:
        A figure with the plot and, of several lines, a legend; empty without points.
    """
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    ticks = nice_ticks(min(y for _, y in points), max(y for _, y in points))
    low, high = ticks[0], ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 0.5
        return LEFT + across * (WIDTH - LEFT - RIGHT), TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in ticks:
        _, y = place(first, tick)
        parts.append(f"<line class=grid x1={LEFT} x2={WIDTH - RIGHT} y1={y:.1f} y2={y:.1f} />")
        parts.append(f"<text class=end x={LEFT - 6} y={y + 4:.1f}>{tick:.4g}</text>")
    for epoch in _whole_ticks(first, last):
        x, _ = place(epoch, low)
        parts.append(f"<text class=mid x={x:.1f} y={HEIGHT - BOTTOM + 16}>{epoch:g}</text>")
    parts.append(f"<text class=mid x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 2}>epoch</text>")
    drawn = [[place(*point) for point in line] for line in lines.values()]
    looks = [_look(index, drawn) for index in range(len(drawn))]
    for where, look in zip(drawn, looks, strict=True):
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in where)
        dots = where if len(where) == 1 else where[-1:]
        parts.append(f"<polyline class='line {look}' points='{joined}' />")
        parts += [f"<circle class='mark {look}' cx={x:.1f} cy={y:.1f} r=3 />" for x, y in dots]
    names = "".join(
        f"<span class=whole><span class='key {look}'></span>{escape(name)}</span> "
        for name, look in zip(lines, looks, strict=True)
    )
    legend = f"<figcaption>{names}</figcaption>" if len(lines) > 1 else ""
    label = escape(title, quote=True)
    plot = f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{label} by epoch'>{''.join(parts)}</svg>"
    return f"<figure class=chart><h3>{escape(title)}</h3>{plot}{legend}</figure>"


def _look(index: int, drawn: Sequence[Sequence[tuple[float, float]]]) -> str:
    """Color of a line; dashed where it lies on an earlier one, which it would hide, and where colors come again."""
    hides = any(_is_near(drawn[index], earlier) for earlier in drawn[:index])
    return f"k{index % COLORS}{' dashed' if hides or index >= COLORS else ''}"


def _is_near(line: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> bool:
    heights = dict(other)
    near = [abs(y - heights.get(x, math.inf)) < NEAR for x, y in line]
    return sum(near) >= MOSTLY * len(near)


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers from below the lowest to above the highest value, at least two."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5 * max(abs(low), 0.1), high + 0.5 * max(abs(high), 0.1)
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(start, max(end, start + 1) + 1)]


def _whole_ticks(first: float, last: float) -> list[int]:
    """Whole epochs, at most about ten."""
    step = max(1, math.ceil((last - first) / 10))
    return list(range(math.ceil(first), math.floor(last) + 1, step))
