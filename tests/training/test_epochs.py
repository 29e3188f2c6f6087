import pytest
from hypothesis import given
from hypothesis import strategies as st

from segexp.training.epochs import Pace, epochs_that_fit, plan

SECONDS = st.floats(0.001, 100)


def test_epochs_are_as_many_as_fit_with_their_validations():
    pace = Pace(batch=0.5, validation=1.0, scoring=9, closing=9)
    assert plan(130, pace, batches=10, every=1).epochs == 21  # 5 s and 1 s
    assert plan(130, pace, batches=10, every=4).epochs == 24  # 5.25 s each, and 1 s of the last
    assert plan(130, pace, batches=10, every=30).every == 25  # never later than at the end


def test_a_long_epoch_is_divided_and_a_short_one_is_not():
    pace = Pace(batch=1.0, validation=0.1, scoring=0, closing=0)
    assert plan(600, pace, batches=200, every=1).batches == 30
    assert plan(600, pace, batches=25, every=1).batches == 25
    assert plan(600, pace, batches=200, every=1, shorter=False).batches == 200


@given(seconds=st.floats(1, 1e5), batch=SECONDS, validation=SECONDS, batches=st.integers(1, 1000))
def test_what_is_planned_fits_and_validation_takes_a_tenth_at_most(seconds, batch, validation, batches):
    found = plan(seconds, Pace(batch, validation, 0, 0), batches, every=None)
    training = found.epochs * found.batches * batch
    if found.epochs > 1:
        assert training + validation * found.epochs / found.every <= seconds
    if found.epochs > found.every:
        assert found.epochs // found.every * validation <= 0.1 * seconds * 1.001


def test_a_slightly_other_pace_gives_the_same_number_of_epochs():
    assert len({epochs_that_fit(1000, pace, 0, 1) for pace in (9.8, 9.85, 9.9, 9.95, 10.0)}) == 1


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 0.01])
def test_no_time_is_one_epoch_of_one_batch(seconds):
    found = plan(seconds, Pace(1, 1, 1, 1), batches=50, every=None)
    assert (found.epochs, found.batches, found.every) == (1, 1, 1)
