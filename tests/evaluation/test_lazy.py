"""Sequences whose items are made when they are asked for."""

import pytest

from segexp.evaluation.lazy import Lazy


def test_items_are_made_each_time_they_are_asked_for_and_none_is_kept():
    made = []
    squares = Lazy(4, lambda index: made.append(index) or index**2)
    assert len(squares) == 4
    assert made == []
    assert [*squares] == [0, 1, 4, 9]
    assert squares[-1] == 9
    assert squares[1:3] == [1, 4]
    assert made == [0, 1, 2, 3, 3, 1, 2]
    with pytest.raises(IndexError):
        squares[4]
