import pytest

from segexp.models.sizes import EvenSizes
from segexp.models.taken_sizes import TakenSizes, find_taken_sizes


@pytest.mark.parametrize(
    ("takes", "least", "step"),
    [
        (lambda side: True, 1, 1),
        (lambda side: side >= 20, 20, 1),
        (lambda side: side % 16 == 0, 16, 16),
        (lambda side: side % 32 == 0 and side >= 96, 96, 32),
        (lambda side: side % 16 == 12 and side >= 28, 28, 16),
        (lambda side: side % 64 == 0, 64, 64),
    ],
)
def test_the_smallest_step_and_the_least_size_are_found(takes, least, step):
    assert find_taken_sizes(lambda side: 4 if takes(side) else None) == TakenSizes(2, EvenSizes(least, step))


def test_where_no_step_leads_on_there_are_no_such_sizes():
    assert find_taken_sizes(lambda side: None) is None
    assert find_taken_sizes(lambda side: 0 if side == 64 else None) is None
    assert find_taken_sizes(lambda side: side - side // 4) is None  # a quarter of the image, whatever its size
