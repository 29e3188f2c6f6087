import shutil
from pathlib import Path

import pytest

from segexp.commands.train import train
from segexp.config import compose
from segexp.evaluation.evaluation import Evaluation
from segexp.evaluation.trained import open_trained
from segexp.metrics import DecisionRule
from tests.conftest import HERE, TINY, trained, write_pairs


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "first", "metrics=membrane")


def test_the_split_is_test_unless_there_are_no_such_cases(run):
    opened = open_trained(run)
    assert Evaluation([opened], []).open("auto") == "test"
    assert Evaluation([opened], ["data.split.test=0"]).open("auto") == "val"
    with pytest.raises(ValueError, match="split=test: the data have no such cases"):
        Evaluation([opened], ["data.split.test=0"]).open("test")


def test_the_headline_metric_tells_its_direction_and_its_decision_rule(run):
    evaluation = Evaluation([open_trained(run)], [])
    assert (evaluation.metric, evaluation.higher_is_better) == ("v_info", True)
    assert evaluation.decision_rule == DecisionRule(1, evaluation.chosen["threshold"])
    other = Evaluation([open_trained(run)], ["monitor=val/volume_difference"])
    assert (other.metric, other.higher_is_better) == ("volume_difference", False)
    assert other.decision_rule == DecisionRule()


def test_cases_are_scored_as_at_the_end_of_training(run):
    evaluation = Evaluation([open_trained(run)], [])
    evaluation.open("val")
    result, predictions = evaluation.score("val")
    opened = open_trained(run)
    assert {name: value for name, value in result.scores.items() if value == value} == {
        name: value for name, value in opened.results["val"].items() if value is not None
    }
    assert len(predictions.by(DecisionRule())) == len(opened.record["split"]["val"])
    assert evaluation.same_data
    assert evaluation.own_validation
    assert evaluation.notes("val") == []


def test_data_that_are_gone_are_refused(tmp_path):
    write_pairs(tmp_path / "data", 9)
    images = [f"data.source.{kind}={tmp_path}/data/{kind}" for kind in ("images", "masks")]
    splits = ["data.split.test=0.2", "data.split.val=0.2"]
    folder = tmp_path / "run"
    train(compose([*TINY, *HERE, "data=folder", *images, *splits], run_dir=folder))
    shutil.rmtree(tmp_path / "data" / "masks")
    with pytest.raises(FileNotFoundError, match=r"masks is not a folder: check the path"):
        Evaluation([open_trained(folder)], []).open("auto")
