import math

import pytest

from segexp.comparison.goals import goal_sheet, read_goals
from tests.comparison.small_runs import leave


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three runs of two minutes in one folder, and one that failed in another."""
    monkeypatch.chdir(tmp_path)
    for seed, dice in enumerate((0.7, 0.8, 0.9), start=1):
        times = {"start": "2026-11-22T23:58:00", "end": f"2026-11-23T00:0{seed - 1}:00", "choices": {"data": "cells"}}
        leave(tmp_path / f"cells/{seed}", "dice", seed, {"nucleus": {"a": dice, "b": dice}}, **times)
    leave(tmp_path / "failed/1", "dice", 1, {"nucleus": {"a": 0.5}}, status="failed")


def rows(*words: str) -> list[list[str]]:
    return goal_sheet(read_goals(words)).rows


def test_the_mean_of_the_runs_is_held_against_the_goal(runs):
    reached, short = rows("cells", "dice>=0.8", "dice_nucleus>=0.81")
    assert reached == ["cells", "dice", "≥ 0.8", "0.8000", "0.7000 to 0.9000", "3", "yes"]
    assert short[3:] == ["0.8000", "0.7000 to 0.9000", "3", "no, by 0.0100"]


def test_a_goal_may_be_the_most_that_is_allowed(runs):
    assert [row[-1] for row in rows("cells", "dice<=0.85", "dice<=0.75")] == ["yes", "no, by 0.0500"]


def test_of_minutes_the_longest_run_counts(runs):
    (row,) = rows("cells/*", "minutes<=3.5")
    assert row[3:] == ["4.0", "2.0 to 4.0", "3", "no, by 0.5"]


def test_runs_that_have_not_ended_well_are_counted_but_not_scored(runs):
    assert rows("cells", "failed", "dice>=0.8")[0][3:6] == ["0.8000", "0.7000 to 0.9000", "3 of 4"]
    assert rows("failed", "dice>=0.8")[0][3:] == ["", "", "0 of 1", "not known"]


def test_each_goal_belongs_to_the_runs_before_it(runs):
    goals = read_goals(["cells/1", "cells/2", "dice>=0.5", "minutes<=9", "cells/3", "dice>=0.95"])
    assert [(len(goal.runs), goal.metric, goal.value) for goal in goals] == [
        (2, "dice", 0.5),
        (2, "minutes", 9.0),
        (1, "dice", 0.95),
    ]
    assert math.isclose(goals[-1].reached()[0], 0.9)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dice>=0.8"], "dice>=0.8 stands before any runs"),
        (["cells"], "cells: no goal follows"),
        (["cells", "dice>=high"], "'high' is no number"),
        (["cells", "dise>=0.8"], "results.json has no metric 'dise' of test cases .did you mean 'dice'"),
        (["cell", "dice>=0.8"], "cell: no run there"),
    ],
)
def test_what_is_no_goal_is_refused(runs, words, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        rows(*words)
