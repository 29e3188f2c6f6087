import math
import shlex
from pathlib import Path

import numpy as np
import pytest

from segexp.evaluation.screen import intervals_of, print_next, range_of, undefined_words
from segexp.metrics import SplitResult
from segexp.metrics.results import CaseScores
from tests.conftest import trained


def split_of(scores: dict[str, list[float]]) -> SplitResult:
    """Result of a split with a Dice per class and case; means are those of cases, then of classes."""
    rows = [CaseScores(case, label, {"dice": value}) for label, of in scores.items() for case, value in enumerate(of)]
    means = {f"dice_{label}": float(np.nanmean(of)) for label, of in scores.items()}
    return SplitResult(rows, {"dice": float(np.mean(list(means.values()))), **means, "dice_pooled": 0.5}, {}, {}, {})


def test_intervals_are_those_of_means_over_cases():
    values = list(np.random.default_rng(0).uniform(0.6, 0.9, 30))
    found = intervals_of(split_of({"cell": values}))
    half = 1.96 * np.std(values, ddof=1) / math.sqrt(30)
    assert found["dice"].low == pytest.approx(np.mean(values) - half, abs=0.01)
    assert found["dice"].high == pytest.approx(np.mean(values) + half, abs=0.01)
    assert "dice_pooled" not in found  # no mean over cases


def test_a_mean_over_classes_has_one_where_all_cases_define_both():
    both = {"a": [0.5, 0.6, 0.7, 0.8], "b": [0.9, 0.8, 0.9, 0.8]}
    assert set(intervals_of(split_of(both))) == {"dice", "dice_a", "dice_b"}
    assert set(intervals_of(split_of(both | {"b": [0.9, 0.1, math.nan, 0.8]}))) == {"dice_a", "dice_b"}


def test_one_case_has_none_and_fractions_end_at_1():
    assert intervals_of(split_of({"a": [0.5]})) == {}
    assert range_of(None, "fraction") == ""
    found = intervals_of(split_of({"a": [0.2, 1.0, 1.0]}))["dice"]
    assert range_of(found, "fraction").endswith(" to 1.0000")
    assert float(range_of(found, "mm").split(" to ")[1]) > 1


def test_undefined_scores_are_counted():
    assert undefined_words({"dice_a": 0, "dice_b": 2}) == "undefined, and left out: dice_b in 2 cases"
    assert undefined_words({"dice_a": 0}) == ""


def test_commands_that_follow_can_be_pasted(capsys):
    results = {"chosen_on_val": {"epoch": 2, "by": "val/dice"}, "training": {"epochs": 5}}
    print_next(results, Path("out/my run"), board=True)
    said = capsys.readouterr().out
    assert "best epoch   3 of 5, by val/dice" in said
    (line,) = [line for line in said.splitlines() if line.startswith("predict")]
    assert shlex.split(line)[2:4] == ["predict", "run=out/my run"]


def test_a_run_says_what_it_is_and_what_came_of_it(tmp_path, capsys):
    trained(tmp_path / "run", "trainer.max_epochs=1", "data.sampling.patches_per_epoch=4")
    said = capsys.readouterr().out
    before, _, after = said.partition("under a minute")
    for head in ("data ", "classes", "network", "loss ", "device ", "best epoch by", "run folder", "curves"):
        assert f"│ {head}" in before
    assert "95 % interval over cases" in after
    assert "score it" in after
