import re
from xml.etree import ElementTree

import pytest

from segexp.stress.plots import HEIGHT, WIDTH, Curve, axes_of, plot


def curve(name: str, *scores: float | None) -> Curve:
    bands = {n: [score - 0.1, score + 0.1] for n, score in enumerate(scores) if score is not None}
    return Curve(name, dict(enumerate(scores)), bands)


def test_points_lie_at_their_scores_within_the_plot():
    drawn = curve("a", 0.8, 0.6, 0.3)
    axes = axes_of([drawn])
    svg = plot("blur", "dice", [drawn], axes)
    points = re.search(r'polyline class="mean" points="([^"]+)"', svg)
    places = [tuple(map(float, pair.split(","))) for pair in points[1].split()]
    assert places == [pytest.approx((axes.x(n), axes.y(score)), abs=0.06) for n, score in enumerate((0.8, 0.6, 0.3))]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert places[2][1] > places[0][1]  # lower on the page
    assert axes.low <= 0.2
    assert axes.high >= 0.9


def test_a_score_that_is_undefined_has_no_point_and_names_cannot_break_the_markup():
    drawn = [curve('<b>&"', 0.8, None, 0.3), curve("b", None, None, None)]
    svg = ElementTree.fromstring(plot("a<b", "dice", drawn, axes_of(drawn)))
    assert len(svg.findall(".//circle")) == 2


def test_equal_scores_and_none_at_all_have_axes():
    for drawn in (curve("a", 0.5), curve("a", None, None)):
        axes = axes_of([Curve(drawn.name, drawn.scores, {})])
        assert axes.low < axes.high
