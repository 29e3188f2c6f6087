"""What is asked of any source, beside its three methods."""

import pytest

from segexp.data.sources import Synthetic, label_values, left_out


def test_a_source_that_does_not_look_around_leaves_nothing_out():
    class Looking(Synthetic):
        def left_out(self) -> dict[str, tuple[str, ...]]:
            return {"hidden": (".DS_Store",)}

    assert left_out(Synthetic()) == {}
    assert left_out(Looking()) == {"hidden": (".DS_Store",)}


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ({}, [0, 1, 2]),
        ({0: 0, 255: 1, 128: 2}, [0, 255, 128]),
        ({0: 0, 7: 1, 3: 1}, [0, 3, 2]),
        ({0: 0}, [0, 1, 2]),
        ({1: 0, 2: 255}, [1, 3, 4]),
    ],
)
def test_each_class_is_written_as_a_value_of_its_own(values, written):
    source = Synthetic()
    source.mask_values = values
    assert label_values(source, 3) == written
