"""A plan as words, as plain values, and as a file that Hydra reads."""

import json

import pytest
import yaml
from omegaconf import OmegaConf

from segexp.config import compose
from segexp.planning import Plan
from tests.planning.simulated import PHOTOGRAPHS, VOLUMES, chosen, plan


def test_plain_values_come_back_equal():
    made = plan(VOLUMES)
    assert Plan.from_plain(json.loads(json.dumps(made.to_plain()))) == made


def test_every_choice_has_a_reason():
    assert all(one.reason for facts in (VOLUMES, PHOTOGRAPHS) for one in plan(facts).choices)


@pytest.mark.parametrize("facts", [VOLUMES, PHOTOGRAPHS], ids=["volumes", "photographs"])
def test_words_and_experiment_file_make_the_same_configuration(facts, tmp_path):
    made = plan(facts, 20)
    (tmp_path / "experiment").mkdir()
    text = made.as_experiment("mine", {"data": "synthetic", "seed": 3}, ["data"])
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    from_file = compose(["experiment=mine"], config_dir=tmp_path)
    from_words = compose(["data=synthetic", "seed=3", "name=mine", "minutes=20", *made.words])
    assert OmegaConf.to_container(from_file) == OmegaConf.to_container(from_words)
    assert yaml.safe_load(text)["data"]["sampling"]["patch_size"] == chosen(made)["data.sampling.patch_size"]


def test_any_value_of_the_user_stands_in_the_file_as_it_was_given():
    given = {
        "data.source.images": 'my scans/#3: "left" ${x}',
        "data.source.values": {0: 0, 255: 1, "other": 2},
        "data.labels.class_names": ["no", "on", "ä b"],
        "data.split.exclude": None,
        "data.source.skip_unlabeled": True,
        "optimizer.lr": 1e-5,
    }
    made = plan(PHOTOGRAPHS, optimizer__lr=1e-5)
    content = yaml.safe_load(made.as_experiment("my plan: 1", given, []))
    assert content["name"] == "my plan: 1"
    assert content["data"]["source"] == {
        "images": given["data.source.images"],
        "values": given["data.source.values"],
        "skip_unlabeled": True,
    }
    assert content["data"]["labels"]["class_names"] == ["no", "on", "ä b"]
    assert content["data"]["split"]["exclude"] is None
    assert float(content["optimizer"]["lr"]) == 1e-5


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_minutes_out_of_range_are_refused(minutes):
    with pytest.raises(ValueError, match="minutes="):
        plan(VOLUMES, minutes)
