"""Curves of score against severity as SVG, in the style of the page of a comparison."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from segexp.runs.stress import Band

WIDTH, HEIGHT = 340, 230  # of a plot, in its own units
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 36  # of the axes from the edges
COLORS = 8  # of the style


@dataclass(frozen=True)
class Curve:
    """Score of one run by severity, 0 among them, and its interval; None = undefined."""

    name: str
    scores: Mapping[int, float | None]
    bands: Mapping[int, Band]


@dataclass(frozen=True)
class Axes:
    """Ends of both axes."""

    last: int
    low: float
    high: float

    def x(self, severity: float) -> float:
        """Place of a severity."""
        return LEFT + severity / self.last * (WIDTH - LEFT - RIGHT)

    def y(self, score: float) -> float:
        """Place of a score."""
        return HEIGHT - BOTTOM - (score - self.low) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)


def axes_of(curves: Sequence[Curve]) -> Axes:
    """Axes that hold all of these curves."""
    values = [score for curve in curves for score in curve.scores.values() if score is not None]
    values += [end for curve in curves for band in curve.bands.values() for end in band if end is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    step = _step(low, high)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    last = max(1, *(severity for curve in curves for severity in curve.scores))
    return Axes(last, low, high if high > low else low + step)


def plot(title: str, metric: str, curves: Sequence[Curve], axes: Axes) -> str:
    """Draw curves: score up, severity across."""
    grid = [_row(value, axes) for value in _ticks(axes.low, axes.high)]
    grid += [_column(severity, axes) for severity in range(axes.last + 1)]
    middle = (LEFT + WIDTH - RIGHT) / 2
    below = f'<text class="tick" x="{middle:g}" y="{HEIGHT - 4}" text-anchor="middle">severity</text>'
    lines = [_curve(number, curve, axes) for number, curve in enumerate(curves)]
    label = escape(f"{metric} against severity of {title}")
    parts = "".join([*grid, below, *lines])
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{parts}</svg>'


def _curve(number: int, curve: Curve, axes: Axes) -> str:
    known = {severity: score for severity, score in curve.scores.items() if score is not None}
    points = " ".join(f"{axes.x(severity):.1f},{axes.y(score):.1f}" for severity, score in known.items())
    bands = [(severity, curve.bands.get(severity, [None, None])) for severity in known]
    ends = [(severity, low, high) for severity, (low, high) in bands if low is not None and high is not None]
    around = [f"{axes.x(severity):.1f},{axes.y(low):.1f}" for severity, low, _ in ends]
    around += [f"{axes.x(severity):.1f},{axes.y(high):.1f}" for severity, _, high in reversed(ends)]
    marks = "".join(
        f'<circle class="solid" cx="{axes.x(severity):.1f}" cy="{axes.y(score):.1f}" r="3">'
        f"<title>{escape(curve.name)}, severity {severity}: {score:.4f}</title></circle>"
        for severity, score in known.items()
    )
    band = f'<polygon class="band" points="{" ".join(around)}"/>' if around else ""
    return f'<g class="c{number % COLORS}">{band}<polyline class="mean" points="{points}"/>{marks}</g>'


def _row(value: float, axes: Axes) -> str:
    y = f"{axes.y(value):.1f}"
    line = f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
    return f'{line}<text class="tick" x="{LEFT - 6}" y="{y}" dy="4" text-anchor="end">{value:.4g}</text>'


def _column(severity: int, axes: Axes) -> str:
    x = f"{axes.x(severity):.1f}"
    line = f'<path class="grid" d="M{x} {TOP}V{HEIGHT - BOTTOM}"/>'
    return f'{line}<text class="tick" x="{x}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{severity}</text>'


def _step(low: float, high: float) -> float:
    """Round step that makes about five ticks."""
    rough = (high - low) / 5 or 0.1
    power = 10 ** math.floor(math.log10(rough))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough - 1e-12))


def _ticks(low: float, high: float) -> list[float]:
    step = _step(low, high)
    return [round(low + number * step, 10) for number in range(round((high - low) / step) + 1)]
