import numpy as np
import pytest

from segexp.data.files.segments import Segment, color_table, in_words, snap_description

SEGMENTS = [Segment("left lobe", 7, (86, 180, 233)), Segment('the "rest"', 40, (230, 159, 0))]


def snap_labels(text: str) -> dict[int, tuple[list[float], str]]:
    """Read as ITK-SNAP does: seven numbers, then what stands between the first and the last quote."""
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    found = {}
    for row in rows:
        numbers, name, rest = row.split('"')
        assert rest == ""
        index, *values = numbers.split()
        found[int(index)] = ([float(value) for value in values], name)
    return found


def test_labels_of_itk_snap_have_names_and_colors_and_the_background_is_clear():
    assert snap_labels(snap_description(SEGMENTS)) == {
        0: ([0, 0, 0, 0, 0, 0], "Clear Label"),
        7: ([86, 180, 233, 1, 1, 1], "left lobe"),
        40: ([230, 159, 0, 1, 1, 1], "the 'rest'"),
    }


@pytest.mark.parametrize("value", [-1, 0, 65_536])
def test_labels_that_itk_snap_does_not_know_are_refused(value):
    with pytest.raises(ValueError, match=f"no label {value} .bone.: labels must be from 1 to 65535"):
        snap_description([Segment("bone", value, (1, 2, 3))])


def test_a_table_has_the_color_of_each_value_and_black_elsewhere():
    table = color_table(SEGMENTS)
    assert table[:, 7].tolist() == [86, 180, 233]
    assert table[:, 40].tolist() == [230, 159, 0]
    assert np.count_nonzero(table.any(0)) == 2
    with pytest.raises(ValueError, match="no place for the value 256 .far.: it must be from 0 to 255"):
        color_table([Segment("far", 256, (1, 2, 3))])


def test_names_stand_beside_their_values():
    assert in_words(SEGMENTS) == '7 left lobe\n40 the "rest"\n'
