"""Scores along an organ: the mean per tenth of its slices with its interval, and slices that are wrong as a whole."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from segexp.pictures.figures import HEADER, INVENTED, MISSED, title
from segexp.runs.results import PositionsOfClass

WIDTH, HEIGHT = 300, 180  # pixels of a diagram
LEFT, BARS, BELOW = 30, 44, 30  # pixels beside it, for the bars under it, and under these
INK, FAINT, LINE, BAND = (60, 60, 60), (225, 225, 225), (0, 114, 178), (190, 215, 232)


def draw_positions(classes: Mapping[str, PositionsOfClass], metric: str = "dice") -> np.ndarray:
    """Draw one diagram per class, side by side: position along the organ across, a score between 0 and 1 up.

    The line is the mean over cases, the band its interval. Bars below: slices that are missed (blue) and invented
    (orange), summed over cases.

    Args:
        classes: Scores by position of each class, ten bins.
        metric: Name of the score.

    Returns:
        (270, 338 n, 3) uint8.
    """
    return np.concatenate([np.asarray(_panel(name, metric, of)) for name, of in classes.items()], axis=1)


def _panel(name: str, metric: str, of: PositionsOfClass) -> Image.Image:
    panel = Image.new("RGB", (LEFT + WIDTH + 8, HEADER + HEIGHT + BARS + BELOW), "white")
    draw = ImageDraw.Draw(panel)
    panel.paste(Image.fromarray(title(f"{name}: {metric} along the slices", LEFT + WIDTH)), (0, 0))
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        draw.line([_at(0, tick), _at(1, tick)], FAINT)
        draw.text((2, max(HEADER, _at(0, tick)[1] - 6)), f"{tick:g}", INK)
    band = of["scores"][metric]
    middles = [(place + 0.5) / len(band["mean"]) for place in range(len(band["mean"]))]
    ends = [
        (x, low, high)
        for x, low, high in zip(middles, band["low"], band["high"], strict=True)
        if low is not None and high is not None
    ]
    if len(ends) > 1:
        draw.polygon([_at(x, low) for x, low, _ in ends] + [_at(x, high) for x, _, high in reversed(ends)], BAND)
    points = [_at(x, mean) for x, mean in zip(middles, band["mean"], strict=True) if mean is not None]
    if len(points) > 1:
        draw.line(points, LINE, 2)
    for x, y in points:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), LINE)
    _draw_bars(draw, of)
    bottom = HEADER + HEIGHT + BARS
    draw.text((LEFT, bottom + 1), "first slice", INK)
    draw.text((LEFT + WIDTH - draw.textlength("last"), bottom + 1), "last", INK)
    draw.text((LEFT, bottom + 14), f"slices missed {sum(of['slices_missed'])}", tuple(MISSED))
    invented = f"invented {sum(of['slices_invented'])}"
    draw.text((LEFT + WIDTH - draw.textlength(invented), bottom + 14), invented, tuple(INVENTED))
    return panel


def _draw_bars(draw: ImageDraw.ImageDraw, of: PositionsOfClass) -> None:
    """Draw how many slices of each tenth are missed and invented, the most of any as high as there is room."""
    most = max(*of["slices_missed"], *of["slices_invented"], 1)
    width, base = WIDTH / len(of["cases"]), HEADER + HEIGHT + BARS - 1
    draw.line([(LEFT, base), (LEFT + WIDTH, base)], FAINT)
    draw.text((2, base - 12), f"0-{most}", INK)
    for counts, color, side in ((of["slices_missed"], MISSED, 0.1), (of["slices_invented"], INVENTED, 0.5)):
        for place, count in enumerate(counts):
            left = LEFT + (place + side) * width
            if count:
                draw.rectangle((left, base - (BARS - 8) * count / most, left + 0.4 * width - 1, base), tuple(color))


def _at(x: float, y: float) -> tuple[float, float]:
    """Place of a point of the unit square, in pixels."""
    return LEFT + x * WIDTH, HEADER + (1 - y) * HEIGHT
