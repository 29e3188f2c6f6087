"""A user's own metric of which less is better, from the training to the verdict of `segexp compare`."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from segexp.build import monitor_mode
from segexp.commands.compare import compare
from segexp.commands.evaluate import evaluate
from segexp.commands.runs import runs
from segexp.metrics import CalibrationScores, CaseMetric, CaseScores, MetricResult, OverlapScores, SurfaceScores
from tests.conftest import table, trained


class WrongPixels(CaseMetric):
    """Number of wrong pixels per case, times a weight."""

    higher_is_better = False

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__((1,), torch.float64)
        self.weight = weight

    @property
    def info(self):
        return {"wrong": self.describe("weighted number of wrong pixels")}

    def measure(self, probs, target, spacing):
        wrong = (probs.argmax(1) != target).flatten(1).sum(dim=1, keepdim=True)
        return self.weight * wrong.double()

    def score(self, cases, measured):
        numbers = measured[:, 0].tolist()
        return MetricResult(
            [CaseScores(case, "membrane", {"wrong": n}) for case, n in zip(cases, numbers, strict=True)]
        )


class Undescribed(WrongPixels):
    @property
    def info(self):
        return {}


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """Two runs of the same network; each pixel that is wrong counts once in the first and twice in the second."""
    folder = tmp_path_factory.mktemp("runs")
    for weight in (1, 2):
        own = f"+metrics.own={{_target_: tests.evaluation.test_directions.WrongPixels, weight: {weight}}}"
        trained(folder / f"weight{weight}", own, "monitor=val/wrong", "data.source.count=12", "data.split.test=6-11")
    return folder


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_the_run_with_fewer_wrong_pixels_is_called_better(pair, capsys):
    results = read(pair / "weight1" / "results.json")
    described = {"higher_is_better": False, "unit": "", "computed_from": "labels", "targets": "classes"}
    assert results["metrics"]["wrong"] == described
    assert results["headline"]["higher_is_better"] is False
    compare([str(pair / "weight1"), str(pair / "weight2"), "--metric", "wrong"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "wrong, lower is better" in printed
    assert "the network of A (weight=1) does better than that of B (weight=2) by" in printed


def test_the_epoch_with_fewest_wrong_pixels_is_kept(pair):
    config = yaml.safe_load((pair / "weight1" / "config.yaml").read_text())
    assert config["monitor_mode"] == config["callbacks"]["best"]["mode"] == "min"
    assert config["callbacks"]["early_stopping"]["mode"] == "min"


def test_runs_are_listed_with_fewest_wrong_pixels_first(pair, capsys):
    runs([str(pair), "--sort", "metric", "--format", "json"])
    assert [Path(row["run"]).name for row in json.loads(capsys.readouterr().out)] == ["weight1", "weight2"]


def test_the_worst_case_has_most_wrong_pixels(pair, tmp_path):
    run = Path(shutil.copytree(pair / "weight1", tmp_path / "run"))
    mine = tmp_path / "mine" / "metrics"
    mine.mkdir(parents=True)
    (mine / "own.yaml").write_text("own:\n  _target_: tests.evaluation.test_directions.WrongPixels\n")
    evaluate([f"run={run}", "--config-dir", str(mine.parent), "worst=1", f"output={tmp_path / 'scored'}"])
    wrong = {row["case"]: float(row["wrong"]) for row in table(tmp_path / "scored" / "cases.csv") if row["wrong"]}
    drawn = [path.stem for path in (tmp_path / "scored" / "figures").glob("test_*.png")]
    assert drawn == [f"test_{max(wrong, key=wrong.__getitem__)}"]


def test_the_direction_of_what_is_monitored_is_that_of_its_metric():
    metrics = [kind(["background", "vessel"]) for kind in (CalibrationScores, OverlapScores, SurfaceScores)]
    wanted = {
        "dice": "max",
        "dice_vessel": "max",
        "hd95_mm": "min",
        "hd95_mm_vessel": "min",
        "volume_difference": "min",
    }
    assert {name: monitor_mode(f"val/{name}", metrics) for name in wanted} == wanted
    assert monitor_mode("val/loss", []) == monitor_mode("train/loss_dice", []) == "min"
    with pytest.raises(ValueError, match=r"monitor=val/dyce is no score of the metrics .did you mean 'val/dice'"):
        monitor_mode("val/dyce", metrics)


def test_a_score_without_a_description_is_refused():
    metric = Undescribed()
    metric.update(torch.rand(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"Undescribed does not describe \['wrong'\]: give each score"):
        metric.compute()
