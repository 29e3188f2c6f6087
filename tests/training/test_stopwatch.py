import math

import pytest

from segexp.training.epochs import Pace
from segexp.training.stopwatch import Stopwatch


class Now:
    time = 0.0

    def __call__(self):
        return self.time


def watch(*epochs, size=4, **more):
    """A watch that has seen epochs of so many seconds a batch."""
    watch = Stopwatch(Now(), size=size, **more)
    watch.start_epoch()
    for seconds in epochs:
        run(watch, size, seconds)
        watch.end_epoch()
    return watch


def run(watch, batches, seconds):
    for _ in range(batches):
        watch.now.time += seconds
        watch.batches += 1


def test_the_nearer_the_end_the_fewer_epochs_count():
    timed = watch(1.0, 1.0, 1.0, 5.0)
    assert timed.recent(8) == 2.0
    assert timed.recent(4) == 3.0
    assert timed.recent(1) == 5.0
    assert watch(1.0, 1.0, 1.0, 5.0, window=21.0).recent(1) == 3.0  # 20 s of the last epoch are too few


def test_a_validation_does_not_count_as_training_and_updates_the_final_scoring():
    timed = watch(1.0, pace=Pace(1.0, 2.0, 6.0, 1.0))
    run(timed, 4, 2.0)
    timed.start_validation()
    timed.now.time += 3.0
    timed.end_validation()
    timed.end_epoch()
    assert timed.recent(1) == 2.0
    assert timed.pace == Pace(2.0, 3.0, 9.0, 1.0)
    assert timed.reserve(2.0) == 10.0
    assert timed.reserve(4.0) == 20.0  # a machine that has become slower is so for the scoring, too
    assert timed.left(3, every=1) == 3 * 4 * 2.0 + 3 * 3.0 + 10.0
    assert timed.left(2.5, every=2) == 2.5 * 4 * 2.0 + 2 * 3.0 + 10.0


def test_a_pace_that_was_measured_too_fast_is_no_sign_of_a_slower_machine():
    timed = watch(2.0, pace=Pace(1.0, 2.0, 6.0, 1.0))
    assert timed.reserve(2.0) == 7.0
    assert timed.reserve(4.0) == 14.0


def test_the_present_epoch_tells_its_pace_after_a_few_batches():
    timed = watch(1.0)
    run(timed, 2, 3.0)
    assert timed.present() == 1.0
    run(timed, 1, 3.0)
    assert timed.present() == 3.0


def test_what_is_not_known_is_nan():
    assert math.isnan(watch().left(2, 1))
    assert math.isnan(watch().recent(3))
    assert watch(pace=Pace(0.5, 1, 1, 1)).recent(3) == pytest.approx(0.5)
