from hypothesis import given
from hypothesis import strategies as st

from segexp.training.progress import Progress


def test_the_rest_of_the_course_is_spread_over_the_steps_that_are_left():
    progress = Progress(planned=100, total=100)
    assert [progress.at(step) for step in (0, 1, 50, 100)] == [0, 1, 50, 100]
    progress.change(step=40, total=70)  # 60 planned steps in 30
    assert [progress.at(step) for step in (40, 41, 55, 69, 70)] == [40, 42, 70, 98, 100]
    progress.change(step=55, total=115)  # 30 in 60
    assert [progress.at(step) for step in (55, 56, 57, 114, 115)] == [70, 70, 71, 99, 100]


@given(planned=st.integers(1, 500), changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 500)), max_size=4))
def test_the_course_never_goes_back_and_ends_where_it_was_planned_to(planned, changes):
    progress, step, places = Progress(planned, planned), 0, [0]
    for fraction, more in [*changes, (1.0, 0)]:
        until = step + round(fraction * (progress.total - step))
        places += [progress.at(each) for each in range(step + 1, until + 1)]
        step = until
        if more:
            progress.change(step, step + more)
    places += [progress.at(each) for each in range(step + 1, progress.total + 1)]
    assert places == sorted(places)
    assert len(places) == progress.total + 1
    assert places[-1] == planned


def test_no_step_left_is_the_end_of_the_course():
    progress = Progress(planned=10, total=10)
    progress.change(step=4, total=4)
    assert progress.at(4) == 10
