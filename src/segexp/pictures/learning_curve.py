"""Learning curves: a score against the number of training cases, with the law that leads beyond them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from segexp.pictures.figures import COLORS

WIDTH, HEIGHT = 620, 360  # pixels of the plot
LEFT, ABOVE, RIGHT, BELOW = 56, 24, 20, 44  # pixels around it
INK, FAINT = (60, 60, 60), (225, 225, 225)
PALE = 0.75  # fraction of white in a band
TICKS = 5
Point = tuple[float, float, float, float]  # number of cases, value, ends of its interval


@dataclass(frozen=True)
class DrawnCurve:
    """What is drawn of one curve.

    Args:
        name: Name in the legend.
        points: What was measured; an undefined interval (nan) has no bar.
        law: Values of the fitted law with their intervals, the fewest cases first; empty = none.
    """

    name: str
    points: Sequence[Point]
    law: Sequence[Point]


def draw_learning_curves(curves: Sequence[DrawnCurve], metric: str) -> np.ndarray:
    """Draw measured points with intervals, the laws with their bands, and a line where the measured cases end.

    Returns:
        (428, 696, 3) uint8; cases across on a logarithmic axis, the score up.
    """
    picture = Image.new("RGB", (LEFT + WIDTH + RIGHT, ABOVE + HEIGHT + BELOW), "white")
    draw = ImageDraw.Draw(picture)
    every = [point for curve in curves for point in (*curve.points, *curve.law)]
    place = _Axes(every)
    for value in place.ticks():
        draw.line([place.at(place.first, value), place.at(place.last, value)], FAINT)
        draw.text((4, place.at(place.first, value)[1] - 6), f"{value:.4g}", INK)
    most = max(point[0] for curve in curves for point in curve.points)
    draw.line([place.at(most, place.low), place.at(most, place.high)], FAINT, 2)
    for cases in sorted({point[0] for curve in curves for point in curve.points} | {place.last}):
        x = place.at(cases, place.low)[0]
        draw.text((x - draw.textlength(f"{cases:.0f}") / 2, ABOVE + HEIGHT + 4), f"{cases:.0f}", INK)
    draw.text((LEFT, ABOVE + HEIGHT + 24), "training cases; lines: fitted law, bands and bars: 95 % intervals", INK)
    colors = [tuple(int(part) for part in COLORS[i % len(COLORS)]) for i in range(len(curves))]
    for curve, color in zip(curves, colors, strict=True):
        _draw_band(draw, curve, color, place)
    for curve, color in zip(curves, colors, strict=True):
        _draw_points(draw, curve, color, place)
    across = float(LEFT)
    for text, color in ((metric, INK), *zip((curve.name for curve in curves), colors, strict=True)):
        draw.text((across, 6), text, color)
        across += draw.textlength(text) + 16
    return np.asarray(picture)


class _Axes:
    """Places of values in the plot."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.first, self.last = min(point[0] for point in points), max(point[0] for point in points)
        values = [value for point in points for value in point[1:] if math.isfinite(value)]
        room = 0.05 * (max(values) - min(values)) or 0.01
        self.low, self.high = min(values) - room, max(values) + room

    def at(self, cases: float, value: float) -> tuple[float, float]:
        """Place in pixels; values beyond the axis end there."""
        across = math.log(cases / self.first) / (math.log(self.last / self.first) or 1.0)
        up = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return LEFT + across * WIDTH, ABOVE + (1 - up) * HEIGHT

    def ticks(self) -> list[float]:
        """Round values within the axis."""
        rough = (self.high - self.low) / TICKS
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step) + 1)]


def _draw_band(draw: ImageDraw.ImageDraw, curve: DrawnCurve, color: tuple[int, ...], place: _Axes) -> None:
    if curve.law:
        pale = tuple(int(part + PALE * (255 - part)) for part in color)
        lower = [place.at(cases, low) for cases, _, low, _ in curve.law]
        upper = [place.at(cases, high) for cases, _, _, high in curve.law]
        draw.polygon([*lower, *reversed(upper)], pale)


def _draw_points(draw: ImageDraw.ImageDraw, curve: DrawnCurve, color: tuple[int, ...], place: _Axes) -> None:
    if curve.law:
        draw.line([place.at(cases, value) for cases, value, _, _ in curve.law], color, 2)
    for cases, value, low, high in curve.points:
        x, y = place.at(cases, value)
        if math.isfinite(low) and math.isfinite(high):
            draw.line([place.at(cases, low), place.at(cases, high)], color, 1)
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), color)
