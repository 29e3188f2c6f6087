"""Reliability diagrams: how often a probability comes true, of one run or of runs counted together."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from segexp.pictures.figures import HEADER, title

Diagram = Mapping[str, Sequence[float | None]]  # per bin: probability and share (None = no pixels), pixels
SIDE = 200  # pixels of the square of a diagram
LEFT, BELOW = 28, 26  # pixels for what stands beside and below it
INK, FAINT, LINE = (60, 60, 60), (215, 215, 215), (0, 114, 178)


def pooled(diagrams: Iterable[Diagram]) -> dict[str, list[float | None]]:
    """Count the pixels of several diagrams with the same bins together.

    Returns:
        Probability, share and pixels of each bin; empty if there is no diagram, or if their bins differ.
    """
    given = list(diagrams)
    if len({len(one["pixels"]) for one in given}) != 1:
        return {}
    pixels = np.array([one["pixels"] for one in given], dtype=float)
    whole = pixels.sum(0)

    def mean(name: str) -> list[float | None]:
        values = np.array([[value or 0.0 for value in one[name]] for one in given])
        sums = (values * pixels).sum(0)
        return [float(total / count) if count else None for total, count in zip(sums, whole, strict=True)]

    return {"probability": mean("probability"), "share": mean("share"), "pixels": whole.tolist()}


def draw_reliability(diagrams: Mapping[str, Diagram]) -> np.ndarray:
    """Draw the diagram of each named class or region, side by side: probability across, share of pixels up.

    Returns:
        (242, 236 n, 3) uint8. Bars below tell how many pixels a bin has, on a logarithmic scale.
    """
    return np.concatenate([np.asarray(_panel(name, one)) for name, one in diagrams.items()], axis=1)


def _panel(name: str, diagram: Diagram) -> Image.Image:
    panel = Image.new("RGB", (LEFT + SIDE + 8, HEADER + SIDE + BELOW), "white")
    draw = ImageDraw.Draw(panel)
    panel.paste(Image.fromarray(title(f"{name}: share of pixels, upwards", LEFT + SIDE)), (0, 0))
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        draw.line([_at(tick, 0), _at(tick, 1)], FAINT)
        draw.line([_at(0, tick), _at(1, tick)], FAINT)
        draw.text((_at(tick, 0)[0] - 8, HEADER + SIDE + 1), f"{tick:g}", INK)
        draw.text((2, _at(0, tick)[1] - 6), f"{tick:g}", INK)
    draw.text((LEFT + 60, HEADER + SIDE + 12), "probability", INK)
    # Bars: how many pixels each bin has, on a logarithmic scale, at most a quarter of the height.
    heights = np.log10(np.array([count or 0.0 for count in diagram["pixels"]]) + 1)
    for index, height in enumerate(heights / max(heights.max(), 1.0) / 4):
        left, top = _at(index / len(heights), height)
        right, bottom = _at((index + 1) / len(heights), 0)
        if height:
            draw.rectangle((left + 1, top, right - 1, bottom), FAINT)
    draw.line([_at(0, 0), _at(1, 1)], INK)
    pairs = zip(diagram["probability"], diagram["share"], strict=True)
    points = [_at(p, share) for p, share in pairs if p is not None and share is not None]
    if len(points) > 1:
        draw.line(points, LINE, 2)
    for x, y in points:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), LINE)
    return panel


def _at(x: float, y: float) -> tuple[float, float]:
    """Place of a point of the unit square, in pixels."""
    return LEFT + x * SIDE, HEADER + (1 - y) * SIDE
