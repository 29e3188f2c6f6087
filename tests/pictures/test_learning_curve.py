import math

import numpy as np

from segexp.pictures.figures import COLORS
from segexp.pictures.learning_curve import ABOVE, HEIGHT, LEFT, WIDTH, DrawnCurve, draw_learning_curves

POINTS = [(10, 0.5, 0.45, 0.55), (100, 0.8, math.nan, math.nan)]
LAW = [(10, 0.5, 0.4, 0.6), (100, 0.8, 0.7, 0.9), (1000, 0.9, 0.7, 1.0)]


def colored(picture, color):
    return np.argwhere((picture == np.array(color)).all(-1))


def test_cases_lie_on_a_logarithmic_axis_and_scores_upwards():
    picture = draw_learning_curves([DrawnCurve("one", POINTS, LAW)], "dice")
    assert picture.shape == (428, 696, 3)
    found = colored(picture[ABOVE:], COLORS[0])
    rows, columns = found[:, 0] + ABOVE, found[:, 1]
    dots = [rows[abs(columns - x) < 3].mean() for x in (LEFT, LEFT + WIDTH / 2)]
    low, high = 0.4 - 0.03, 1.0 + 0.03
    for row, value in zip(dots, (0.5, 0.8), strict=True):
        assert abs(row - (ABOVE + (1 - (value - low) / (high - low)) * HEIGHT)) < 4
    assert columns.max() <= LEFT + WIDTH + 5


def test_without_a_law_there_are_points_alone():
    alone = draw_learning_curves([DrawnCurve("one", POINTS, ())], "dice")
    several = draw_learning_curves([DrawnCurve("one", POINTS, LAW), DrawnCurve("two", POINTS, ())], "dice")
    assert len(colored(alone[ABOVE:], COLORS[0])) < 400
    assert len(colored(several[ABOVE:], COLORS[1])) > 50


def test_equal_scores_have_an_axis_all_the_same():
    flat = [(10, 0.5, 0.5, 0.5), (20, 0.5, 0.5, 0.5)]
    assert len(colored(draw_learning_curves([DrawnCurve("one", flat, ())], "dice")[ABOVE:], COLORS[0])) > 50
