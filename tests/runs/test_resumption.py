"""What may differ between a run and the command that resumes it."""

import pytest

import segexp
from segexp.runs.resumption import carry_over, require_same_data, require_same_settings


def config(**changes):
    """Two levels of a configuration, with changes such as optimizer__lr=1."""
    content = {
        "resume": "outputs/a",
        "model": {"depth": 2},
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.001},
        "trainer": {"max_epochs": 3, "precision": "32-true", "devices": 1},
        "data": {"source": {"images": "/old"}, "sampling": {"batch_size": 4}},
        "callbacks": {"early_stopping": {"patience": 2}},
    }
    for key, value in changes.items():
        node = content
        *groups, last = key.split("__")
        for group in groups:
            node = node[group]
        node[last] = value
    return content


def record(**changes):
    return {"config": config(), "segexp_version": segexp.__version__} | changes


def test_equal_settings_are_no_change():
    assert require_same_settings(record(), config(), []) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"trainer__max_epochs": 9},
        {"trainer__devices": 2},
        {"data__source__images": "/new"},
        {"callbacks__early_stopping__patience": 10},
    ],
    ids=str,
)
def test_what_changes_no_metric_is_free(change):
    assert require_same_settings(record(), config(**change), []) == {}


@pytest.mark.parametrize(
    ("change", "key", "values"),
    [
        ({"optimizer__lr": 3}, "optimizer.lr", "=3 (the run has 0.001)"),
        ({"data__sampling__batch_size": 16}, "data.sampling.batch_size", "=16 (the run has 4)"),
        ({"trainer__precision": "bf16-mixed"}, "trainer.precision", "=bf16-mixed (the run has 32-true)"),
    ],
    ids=str,
)
def test_other_settings_are_refused_or_allowed_by_name(change, key, values):
    with pytest.raises(ValueError, match="allow_changes") as refused:
        require_same_settings(record(), config(**change), [])
    assert f"{key}{values}" in str(refused.value)
    assert f"allow_changes=[{key}]" in str(refused.value)
    (changed,) = require_same_settings(record(), config(**change), [key])
    assert changed == key
    assert key in require_same_settings(record(), config(**change), [key.partition(".")[0]])


@pytest.mark.parametrize("change", [{"model__depth": 3}, {"optimizer___target_": "torch.optim.SGD"}], ids=str)
def test_what_the_weights_were_made_for_never_changes(change):
    with pytest.raises(ValueError, match="start a new run"):
        require_same_settings(record(), config(**change), ["model", "optimizer"])


def test_a_setting_that_an_older_version_did_not_have_takes_its_default():
    newer = config(optimizer__fused=False)
    assert require_same_settings(record(segexp_version="0.0.1"), newer, []) == {}
    with pytest.raises(ValueError, match=r"optimizer\.fused=False"):
        require_same_settings(record(), newer, [])


SPLIT = {"train": ["a", "b"], "val": ["c"], "test": ["d"]}
DATA = {"split": SPLIT, "data_fingerprint": "11"}


def test_equal_data_pass():
    require_same_data(DATA, "11", SPLIT, "x", [])


@pytest.mark.parametrize("allowed", [[], ["data"]])
def test_a_case_never_moves_from_learning_to_scoring(allowed):
    grown = {"train": ["a", "d", "e"], "val": ["b"], "test": ["c"]}
    with pytest.raises(ValueError, match="b from train to val") as refused:
        require_same_data(DATA, "22", grown, "x", allowed)
    assert "data.split.method=list data.split.lists=x/run.json" in str(refused.value)


def test_other_data_are_refused_or_allowed_by_name():
    grown = {"train": ["a", "b", "e"], "val": ["c"], "test": []}
    with pytest.raises(ValueError, match=r"1 new, such as e; .*1 gone, such as d|1 cases new.*1 cases gone") as refused:
        require_same_data(DATA, "22", grown, "x", [])
    assert "allow_changes=[data]" in str(refused.value)
    require_same_data(DATA, "22", grown, "x", ["data"])
    with pytest.raises(ValueError, match="pixels, masks or unused cases changed"):
        require_same_data(DATA, "22", SPLIT, "x", [])


def test_the_precision_of_the_run_is_kept_unless_it_is_named():
    there = record()
    there["config"]["trainer"]["precision"] = "bf16-mixed"
    here = config()
    carry_over(there, here, ["trainer=cpu"])
    assert here["trainer"]["precision"] == "bf16-mixed"
    named = config()
    carry_over(there, named, ["trainer.precision=32-true"])
    assert named["trainer"]["precision"] == "32-true"
