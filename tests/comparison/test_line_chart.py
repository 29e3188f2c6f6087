import re
from xml.etree import ElementTree

import numpy as np
import pytest

from segexp.comparison.line_chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, line_chart, nice_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.81, 0.93, [0.8, 0.825, 0.85, 0.875, 0.9, 0.925, 0.95]),
        (-3.0, 12.0, [-5, 0, 5, 10, 15]),
    ],
)
def test_ticks_are_round_and_hold_all_values(low, high, ticks):
    assert nice_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize("value", [0.0, 0.5, -7.0, 1e6])
def test_one_value_has_ticks_on_both_sides(value):
    ticks = nice_ticks(value, value)
    assert ticks[0] < value < ticks[-1]


def test_points_lie_where_their_values_are():
    chart = line_chart("dice", {"a": [(1, 0.0), (2, 1.0), (3, 0.5)]})
    (points,) = re.findall(r"points='([^']*)'", chart)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    bottom, top = HEIGHT - BOTTOM, TOP
    wanted = [(LEFT, bottom), ((LEFT + WIDTH - RIGHT) / 2, top), (WIDTH - RIGHT, (bottom + top) / 2)]
    np.testing.assert_allclose(places, wanted, atol=0.1)


def test_a_line_on_another_and_a_color_that_comes_again_are_dashed():
    lines = {str(n): [(1.0, 0.1 * n), (2.0, 0.2 * n)] for n in range(10)} | {"3 again": [(1.0, 0.3), (2.0, 0.6001)]}
    keys = re.findall(r"class='key (k\d)( dashed)?'", line_chart("a", lines))
    assert [color for color, _ in keys] == [f"k{n % 8}" for n in range(11)]
    assert [place for place, (_, dashed) in enumerate(keys) if dashed] == [8, 9, 10]
    assert line_chart("a", {"b": [(1.0, 0.1)], "c": [(1.0, 0.1)]}).count("dashed") == 3  # line, point, key
    assert "dashed" not in line_chart("a", {"b": [(1.0, 0.1)], "c": [(2.0, 0.1)]})
    apart = {"b": [(x, 1.0) for x in range(8)], "c": [(x, 0.5 if x < 2 else 1.0) for x in range(8)]}
    assert "dashed" in line_chart("a", apart)
    assert "dashed" not in line_chart("a", apart | {"c": [(x, 0.5 if x < 3 else 1.0) for x in range(8)]})


def test_names_are_text_and_several_lines_have_a_legend():
    lines = {"<b>": [(1.0, 0.1), (2.0, 0.2)], "c": [(1.0, 0.3)]}
    chart = line_chart("a & b", lines)
    assert "<b>" not in chart
    assert "<figcaption>" in chart
    assert "<figcaption>" not in line_chart("a", {"c": [(1.0, 0.3)]})
    ElementTree.fromstring(re.sub(r"=([\w.-]+)(?=[ />])", r"='\1'", chart))  # well-formed, but for HTML's quotes
