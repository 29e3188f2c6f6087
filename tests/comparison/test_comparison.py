"""Run folders are written as `segexp train` leaves them; the figures are worked out by hand or by scipy."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from segexp.comparison.comparison import compare
from segexp.comparison.experiments import group
from segexp.comparison.tables import FORMATS, sheets
from segexp.runs.runs import find_runs

PROTOCOL = "2 TP / (2 TP + FP + FN) per case"


def leave(
    folder: Path, loss: str, seed: int, scores: dict[str, dict[str, float]], fold: int | None = None, **facts
) -> None:
    """Write a run that scored ``scores[class][case]``."""
    folder.mkdir(parents=True)
    config = {
        "seed": seed,
        "data": {"split": {"fold": fold}},
        "loss": {"_target_": f"losses.{loss}", f"{loss}_knob": 1},
        "optimizer": {"lr": facts.pop("lr", 0.1)},
        "paths": {"run_dir": str(folder)},
        "monitor": "val/dice",
    }
    cases = sorted({case for of in scores.values() for case in of})
    record = {
        "status": "done",
        "config": config,
        "choices": {"loss": loss, "paths": "default"},
        "data_fingerprint": "f",
        "segexp_version": "1",
        "packages": {"torch": "2"},
        "machine": {"processor": "p", "gpus": []},
        "parameters": facts.pop("parameters", 10),
        "end": f"2026-11-23T00:00:0{seed}",
    } | facts
    (folder / "run.json").write_text(json.dumps(record))
    mean = float(np.mean([np.nanmean(list(of.values())) for of in scores.values()]))
    figures = {
        "dice": mean,
        "v_rand": mean / 2,
        **{f"dice_{name}": float(np.nanmean(list(of.values()))) for name, of in scores.items()},
    }
    results = {
        "headline": {"split": "test", "metric": "dice", "value": mean},
        "test": figures,
        "protocol": {"test": {"dice": PROTOCOL}},
        "cases": {"test": cases},
        "training": {"minutes": 2.0, "peak_memory_mib": 5.0},
    }
    (folder / "results.json").write_text(json.dumps(results))
    rows = [f"test,{case},{name},{of[case]}" for case in cases for name, of in scores.items()]
    (folder / "cases.csv").write_text(
        "split,case,class,dice\nval,v,a,0.9\n" + "\n".join(rows).replace("nan", "") + "\n"
    )
    (folder / "metrics.csv").write_text("epoch,train/loss,val/dice\n0,0.5,0.1\n1,0.4,\n")


def content_of(folder: Path, **settings):
    return compare(find_runs([str(folder)]), **settings)


@pytest.fixture
def two(tmp_path) -> Path:
    """Two losses, one seed, ten cases of two classes; the second loss is better by 0.1 but for a spread of 0.01."""
    rng = np.random.default_rng(0)
    first = {name: {f"c{i}": float(rng.uniform(0.5, 0.7)) for i in range(10)} for name in ("a", "b")}
    second = {
        name: {case: value + 0.1 + float(rng.normal(0, 0.01)) for case, value in of.items()}
        for name, of in first.items()
    }
    leave(tmp_path / "x", "ce", 1, first)
    leave(tmp_path / "y", "dice", 1, second)
    return tmp_path


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


def test_figures_and_differences(two):
    content = content_of(two)
    (table,) = [table for table in content["tables"] if table["class"] == "a"]
    rows = np.array(table["scores"])
    assert table["summaries"][0]["interval"]["value"] == pytest.approx(rows[0].mean())
    (pair,) = table["pairs"]
    assert pair["interval"]["value"] == pytest.approx((rows[1] - rows[0]).mean())
    assert pair["interval"]["low"] < 0.1 < pair["interval"]["high"]
    assert pair["p_wilcoxon"] == pytest.approx(wilcoxon(rows[1], rows[0]).pvalue)
    assert pair["sentence"].startswith("B (dice) is better than A (ce) by 10")
    assert "Dice points" in pair["sentence"] or "dice points" in pair["sentence"]
    assert "training randomness is not in the interval" in pair["sentence"]
    spread = dict(zip(table["cases"], abs(rows[1] - rows[0]), strict=True))
    assert table["most_different"][0] == max(spread, key=spread.get)


def test_the_mean_over_classes_is_the_figure_of_the_run(two):
    content = content_of(two)
    (table,) = [table for table in content["tables"] if table["class"] is None]
    for summary, experiment in zip(table["summaries"], content["experiments"], strict=True):
        assert summary["interval"]["value"] == pytest.approx(experiment["runs"][0]["metrics"]["dice"])
    assert {row["metric"] for row in content["of_sets"]} == {"v_rand"}


def test_an_undefined_score_is_left_out(tmp_path):
    leave(tmp_path / "x", "ce", 1, {"a": {"c0": 0.5, "c1": float("nan"), "c2": 0.7}})
    leave(tmp_path / "y", "dice", 1, {"a": {"c0": 0.6, "c1": 0.9, "c2": 0.7}})
    (table,) = content_of(tmp_path)["tables"]
    assert [summary["interval"]["cases"] for summary in table["summaries"]] == [2, 3]
    assert table["pairs"][0]["interval"]["cases"] == 2
    assert table["pairs"][0]["interval"]["value"] == pytest.approx(0.05)


def test_the_baseline_can_be_chosen(two):
    assert content_of(two, baseline="dice")["baseline"] == content_of(two, baseline="B")["baseline"] == "B"
    assert content_of(two, baseline="B")["tables"][0]["pairs"][0]["interval"]["value"] < 0
    with pytest.raises(ValueError, match="--baseline='C' is not one of"):
        content_of(two, baseline="C")
    with pytest.raises(ValueError, match="--metric='dise' is not one of .*did you mean 'dice'"):
        content_of(two, metrics=["dise"])


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


def test_no_results_at_all_is_an_error(tmp_path):
    leave(tmp_path / "x", "ce", 1, {"a": {"c0": 0.5}})
    (tmp_path / "x" / "results.json").unlink()
    with pytest.raises(ValueError, match="none of the 1 runs has results yet"):
        content_of(tmp_path)


def test_marginal_effects_and_the_pareto_front(tmp_path):
    """dice adds 0.1 and the higher rate 0.02, exactly; the better ones have more parameters."""
    for loss, gain in (("ce", 0.0), ("dice", 0.1)):
        for lr, more in ((0.1, 0.0), (0.2, 0.02)):
            for seed in (1, 2):
                scores = {"a": {f"c{i}": 0.5 + gain + more + 0.01 * i + 0.001 * seed for i in range(5)}}
                leave(tmp_path / f"{loss}{lr}{seed}", loss, seed, scores, lr=lr, parameters=10 if loss == "ce" else 20)
    content = content_of(tmp_path)
    effects = {item["key"]: [e["effect"]["value"] for e in item["effects"]] for item in content["marginals"]}
    assert effects["loss"] == pytest.approx([-0.05, 0.05])
    assert effects["optimizer.lr"] == pytest.approx([-0.01, 0.01])
    names = {item["letter"]: item["name"] for item in content["experiments"]}
    assert [names[letter] for letter in content["pareto"]] == ["ce lr=0.2", "dice lr=0.2"]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_shows_every_table(two, form):
    found = sheets(content_of(two))
    text = FORMATS[form](found)
    assert all(sheet.title.replace("_", "\\_" if form == "latex" else "_") in text for sheet in found)
    value = f"{json.loads((two / 'y' / 'results.json').read_text())['test']['dice']:.4f}"
    assert value in text
    assert "is better than" in text or form == "csv"


def test_latex_escapes_what_latex_would_read(two):
    text = FORMATS["latex"](sheets(content_of(two)))
    rows = [line for line in text.splitlines() if not line.startswith("%")]
    assert not any("_" in line.replace("\\_", "") or "%" in line.replace("\\%", "") for line in rows)
