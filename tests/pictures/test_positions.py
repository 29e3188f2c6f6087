import numpy as np

from segexp.pictures.figures import INVENTED, MISSED
from segexp.pictures.positions import BAND, HEADER, HEIGHT, LEFT, LINE, WIDTH, draw_positions


def of_class(mean, invented=(0,) * 10, missed=(0,) * 10):
    bands = {"mean": mean, "low": [m and m - 0.1 for m in mean], "high": [m and m + 0.1 for m in mean]}
    counts = {"cases": [9] * 10, "slices": [9] * 10, "slices_invented": [*invented], "slices_missed": [*missed]}
    return {**counts, "scores": {"dice": bands}}


def colored(picture, color):
    return np.argwhere((picture == np.array(color)).all(-1))


def test_points_lie_where_the_scores_are_and_undefined_tenths_have_none():
    mean = [0.5, *[None] * 8, 0.75]
    picture = draw_positions({"organ": of_class(mean)})
    assert picture.shape == (270, 338, 3)
    for place, score in ((0, 0.5), (9, 0.75)):
        row, column = HEADER + (1 - score) * HEIGHT, LEFT + (place + 0.5) / 10 * WIDTH
        assert tuple(picture[int(row) + 2, int(column)]) == LINE
    assert len(colored(picture, BAND)) > 1000


def test_slices_that_are_wrong_stand_below_in_their_colors():
    missed, invented = (4, *[0] * 9), (*[0] * 9, 2)
    picture = draw_positions({"a": of_class([0.5] * 10, invented, missed), "b": of_class([0.5] * 10)})
    assert picture.shape == (270, 676, 3)
    below = picture[HEADER + HEIGHT + 2 : HEADER + HEIGHT + 44]
    assert colored(below, MISSED)[:, 1].max() < LEFT + WIDTH / 10
    bars = colored(below, INVENTED)
    assert LEFT + 0.9 * WIDTH < bars[:, 1].min() < bars[:, 1].max() < LEFT + WIDTH
    assert np.ptp(bars[:, 0]) < np.ptp(colored(below, MISSED)[:, 0])
