import json
from dataclasses import replace
from pathlib import Path

import pytest

from segexp.evaluation.trained import build_again, compose_again, open_trained
from tests.conftest import trained


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "first")


def with_overrides(run: Path, *overrides: str):
    """The run as if further overrides had been given to its training."""
    opened = open_trained(run)
    return replace(opened, record=opened.record | {"overrides": [*opened.record["overrides"], *overrides]})


def test_a_run_cannot_say_where_to_write_or_what_to_call_back(run, tmp_path):
    away = tmp_path / "away"
    hostile = [f"paths.output_dir={away}", f"data.cache.folder={away}", f"hydra.run.dir={away}"]
    hostile.append(f"+callbacks.mine={{_target_: os.mkdir, path: {away}}}")
    config = compose_again(with_overrides(run, *hostile), [], tmp_path / "here")
    assert str(away) not in json.dumps(config)


def test_own_configuration_files_must_be_named_again(run, tmp_path):
    (tmp_path / "mine" / "metrics").mkdir(parents=True)
    text = "# @package _global_\nmetrics:\n  own:\n    _target_: own.Scores\n"
    (tmp_path / "mine" / "metrics" / "own.yaml").write_text(text)
    config = compose_again(with_overrides(run, "metrics=[overlap,own]"), ["--config-dir", str(tmp_path / "mine")], run)
    assert config["metrics"]["own"] == {"_target_": "own.Scores"}


def test_data_and_network_are_those_of_the_training(run):
    opened = open_trained(run)
    data, task = build_again(compose_again(opened, [], run), opened, opened.description.symmetries)
    data.setup()
    assert data.fingerprint() == opened.record["data_fingerprint"]
    weights = opened.checkpoint["state_dict"]
    assert all(weights[f"network.{name}"].equal(value) for name, value in task.network.state_dict().items())


def test_views_that_the_training_did_not_show_are_refused_and_warned_of_where_that_is_not_known(run, caplog):
    opened = open_trained(run)
    assert opened.description.symmetries == ["flip_y", "flip_x", "quarter_turn"]  # of augment=light
    config = compose_again(opened, ["inference=tiled_turns"], run)
    assert build_again(config, opened, opened.description.symmetries)
    assert not caplog.text
    with pytest.raises(ValueError, match=r"never showed to the network: .* \(it showed flip_x\)"):
        build_again(config, opened, ["flip_x"])
    assert build_again(config, opened, None)
    assert "does not tell whether its training showed them" in caplog.text
