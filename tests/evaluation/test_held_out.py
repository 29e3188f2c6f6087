"""Which runs are a cross-validation, and which are refused."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from segexp.evaluation.held_out import held_out_split, require_cross_validation

CASES = [f"case_{number}" for number in range(6)]


def run(name: str, test: str, val: str = "", print_: str = "a", **settings) -> SimpleNamespace:
    """A run that holds out the cases of these numbers, and learns from the others."""
    split = {"test": [CASES[int(n)] for n in test], "val": [CASES[int(n)] for n in val]}
    split["train"] = [case for case in CASES if case not in split["test"] + split["val"]]
    config = {"seed": 0, "data": {"split": {"fold": name}}, "model": {"depth": 2} | settings}
    record = {"split": split, "data_fingerprint": print_, "config": config, "status": "done"}
    return SimpleNamespace(folder=Path(name), record=record)


FOLDS = [run("f0", "01", "2"), run("f1", "23", "4"), run("f2", "45", "0")]


def test_folds_are_told_from_an_ensemble_by_what_they_held_out_and_learned_from():
    assert held_out_split(FOLDS, "auto") == "test"
    assert held_out_split(FOLDS, "val") == "val"
    assert held_out_split(FOLDS, "train") is None
    seeds = [run("s0", "45", "3"), run("s1", "45", "3")]
    assert held_out_split(seeds, "auto") is None
    rotating = [run("v0", "5", "01"), run("v1", "5", "23")]  # a test set that all share
    assert held_out_split(rotating, "val") == "val"
    assert held_out_split(rotating, "auto") is None
    assert held_out_split([run("v0", "", "01"), run("v1", "", "23")], "auto") == "val"
    require_cross_validation(FOLDS, "test")


@pytest.mark.parametrize(
    ("runs", "split", "words"),
    [
        (
            FOLDS[:2],
            "test",
            r"2 of 6 cases are test cases of none of the 2 runs, such as case_4, case_5: train the folds",
        ),
        (FOLDS, "val", "3 of 6 cases are val cases of none"),
        ([FOLDS[0], run("b", "23", "4", "other"), FOLDS[2]], "test", "f0 and b were trained on different data"),
        (
            [*FOLDS, run("d3", "01", "2", depth=3)],
            "test",
            r"(?s)4 runs are of 2 settings, which differ in model\.depth.*\n  run=f0,f1,f2\n  run=d3",
        ),
        ([*FOLDS[:2], run("none", "", "0")], "test", "split=test: none holds out no cases: leave that run out"),
    ],
)
def test_what_is_no_cross_validation_is_refused_in_a_sentence(runs, split, words):
    with pytest.raises(ValueError, match=words):
        require_cross_validation(runs, split)


def test_a_run_that_has_learned_from_its_own_cases_is_refused():
    everything = run("all", "")
    everything.record["split"]["val"] = CASES
    with pytest.raises(ValueError, match="split=val: all has learned from case_0, case_1, case_2 and 3 more"):
        require_cross_validation([*FOLDS, everything], "val")
