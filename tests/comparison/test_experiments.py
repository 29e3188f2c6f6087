"""Run folders are written as `segexp train` leaves them; the values are worked out by hand or by scipy."""

import json
from pathlib import Path

import pytest

from segexp.comparison.experiments import group
from segexp.runs.runs import find_runs
from tests.comparison.small_runs import PROTOCOL, content_of, leave, write_two


@pytest.fixture
def two(tmp_path) -> Path:
    return write_two(tmp_path)


def test_runs_that_differ_in_seed_and_fold_alone_are_one_experiment(tmp_path):
    for loss in ("ce", "dice"):
        for seed in (1, 2):
            for fold in (0, 1):
                leave(tmp_path / f"{loss}{seed}{fold}", loss, seed, {"a": {f"c{fold}{i}": 0.5 for i in range(3)}}, fold)
    experiments = group(find_runs([str(tmp_path)]))
    assert [(found.name, len(found.runs)) for found in experiments] == [("ce", 4), ("dice", 4)]
    table = experiments[0].scores("dice")
    assert table.values.shape == (2, 6)
    assert table.folds.tolist() == [0, 0, 0, 1, 1, 1]
    assert content_of(tmp_path)["warnings"] == []  # folds score different cases, and are meant to


def test_an_evaluation_takes_the_place_of_its_run_but_for_the_learning_curves(two):
    leave(two / "x-test", "ce", 1, {"a": {"c0": 0.25}}, end="2026-11-24T00:00:00", evaluation={"run": str(two / "x")})
    (two / "x-test/metrics.csv").unlink()
    experiment = content_of(two)["experiments"][0]
    assert [run["folder"] for run in experiment["runs"]] == [str(two / "x-test")]
    assert [curve["columns"]["train/loss"] for curve in experiment["curves"]] == [[0.5, 0.4]]


def test_only_what_differs_is_told(two):
    rows = content_of(two)["differences"]
    assert rows == [
        {"key": "loss", "values": ["ce", "dice"], "follows": None}
    ]  # not the knobs that only one of the losses has


def test_what_follows_from_a_choice_is_told_but_names_nothing(two):
    path = two / "y" / "run.json"
    record = json.loads(path.read_text())
    record["config"]["loss"] = {"_target_": "losses.dice", "ce_knob": 2}  # the other option's knob, at another value
    path.write_text(json.dumps(record))
    content = content_of(two)
    assert content["differences"][1] == {"key": "loss.ce_knob", "values": [1, 2], "follows": "loss"}
    assert [item["name"] for item in content["experiments"]] == ["ce", "dice"]


def test_a_lone_experiment_is_named_by_its_choices(two):
    assert content_of(two / "x")["experiments"][0]["name"] == "ce"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"data_fingerprint": "g"}, "data fingerprints differ"),
        ({"segexp_version": "2"}, "code versions differ"),
        ({"machine": {"processor": "q"}}, "machines differ"),
        ({"packages": {"torch": "3"}}, "versions of torch differ"),
    ],
)
def test_what_makes_scores_incomparable_is_told(tmp_path, facts, said):
    leave(tmp_path / "x", "ce", 1, {"a": {"c0": 0.5, "c1": 0.6}})
    leave(tmp_path / "y", "dice", 1, {"a": {"c0": 0.5, "c1": 0.6}}, **facts)
    assert any(said in warning for warning in content_of(tmp_path)["warnings"])


def test_other_cases_another_definition_and_unfinished_runs_are_told(tmp_path):
    leave(tmp_path / "x", "ce", 1, {"a": {"c0": 0.5, "c1": 0.6}})
    leave(tmp_path / "y", "dice", 1, {"a": {"c0": 0.5, "c2": 0.6}})
    leave(tmp_path / "z", "dice", 2, {"a": {"c0": 0.5, "c2": 0.6}})
    (tmp_path / "z" / "results.json").unlink()
    path = tmp_path / "y" / "results.json"
    path.write_text(path.read_text().replace(PROTOCOL, "pooled"))
    told = " ".join(content_of(tmp_path)["warnings"])
    assert "scored cases differ" in told
    assert "dice is defined differently" in told
    assert "1 runs have no results" in told
