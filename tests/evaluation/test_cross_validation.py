"""Three folds trained for a second, scored out of fold, against predictions made by hand."""

import csv
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from segexp.build import build_data
from segexp.checkpoints import open_model
from segexp.commands.evaluate import evaluate
from segexp.config import compose, plain
from segexp.inference import TiledPredictor
from segexp.metrics import PartitionScores
from segexp.prediction import open_models
from segexp.runs.folder import SweepFolder
from segexp.runs.postprocess import keep_together
from tests.conftest import trained

FOLD = [
    "data.split.folds=3",
    "data.split.val=0.2",
    "metrics=membrane",
    "optimizer.lr=1e-2",
    "trainer.max_epochs=2",
]
FOLD += ["data.source.size=[32,32]", "data.source.count=6", "data.sampling.patches_per_epoch=8", "monitor=val/dice"]


@pytest.fixture(scope="module")
def folds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sweeps") / "folds"
    for fold in range(3):
        trained(folder / f"fold-{fold}", *FOLD, f"data.split.fold={fold}")
    return folder


@pytest.fixture
def sweep(folds, tmp_path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(folds, tmp_path / "folds"))


def read(path: Path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def by_hand(folds):
    """Predict every case with the network of the fold that held it out; Dice and V_rand by threshold of each case."""
    dice, rand = {}, {}
    for fold in range(3):
        run = folds / f"fold-{fold}"
        data = build_data(plain(compose(read(run / "run.json")["overrides"])))
        data.setup()
        network = open_model(run).network
        for name, batch in zip(data.split.test, data.test_dataloader(), strict=True):
            probs = TiledPredictor(tile=[32, 32])(network, batch["image"])
            truth = batch["target"]
            dice[name] = f1_score(truth.numpy().ravel() == 1, probs.argmax(1).numpy().ravel() == 1)
            rand[name] = PartitionScores().measure(probs, truth, batch["spacing"])[0, :, 0].numpy()
    return dice, rand


def test_scores_are_those_of_each_case_by_the_fold_that_held_it_out(sweep, by_hand, capsys):
    evaluate([f"run={sweep}", "inference=tiled"])
    dice, rand = by_hand
    content = read(sweep / "out_of_fold.json")
    assert len(dice) == 6
    assert content["test"]["dice"] == pytest.approx(np.mean([*dice.values()]), abs=1e-6)
    low, high = content["evaluation"]["intervals"]["dice"]
    assert low < content["test"]["dice"] < high
    with (sweep / "out_of_fold.csv").open(newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file) if row["class"] == "membrane"}
    assert {case: float(row["dice"]) for case, row in rows.items()} == pytest.approx(dice, abs=1e-6)
    for fold, names in enumerate(np.array_split(list(dice), 3)):
        assert {rows[name]["fold"] for name in names} == {str(fold)}
    of_folds = [one["value"] for one in content["evaluation"]["folds"]]
    assert np.mean(of_folds) == pytest.approx(content["headline"]["value"])
    assert max(np.mean([*rand.values()], axis=0)) == pytest.approx(content["test"]["v_rand_max"], abs=1e-6) or (
        "v_rand_max" not in content["test"]  # folds with different thresholds share no curve
    )
    assert "6 cases, each scored by the runs that held it out" in " ".join(capsys.readouterr().out.split())
    assert not [path for path in sweep.iterdir() if path.name.startswith(".")]  # the labels are gone


def test_thresholds_and_steps_are_chosen_on_all_cases_at_once_and_predict_takes_them(sweep, by_hand, caplog):
    evaluate([f"run={sweep}", "inference=tiled", "tune=true"])
    means = np.mean([*by_hand[1].values()], axis=0)
    content, (choice,) = read(sweep / "out_of_fold.json"), read(sweep / "out_of_fold_choices.json")
    thresholds = PartitionScores().thresholds
    assert means[thresholds.index(choice["chosen"]["threshold"])] == pytest.approx(max(means), abs=1e-6)
    plain_scores = content.get("without_postprocess", content)["test"]
    assert plain_scores["v_rand"] == pytest.approx(max(means), abs=1e-6)
    assert content["evaluation"]["tuning"]["cases"] == 6
    assert choice["steps"] == content["evaluation"]["postprocess"]
    assert "optimistically biased" in content["evaluation"]["notes"][1]
    # Steps that are kept for the sweep are those of all its networks together, and of no other set of runs.
    keep_together(SweepFolder(sweep), choice | {"steps": {"fill_holes": {"max_size": 10}}})
    assert [m.description.postprocess for m in open_models(str(sweep))] == [{"fill_holes": {"max_size": 10}}] * 3
    with caplog.at_level(logging.WARNING):
        assert open_models(f"{sweep / 'fold-0'},{sweep / 'fold-1'}")[0].description.postprocess is None
    assert "chosen for other runs of this folder" in caplog.text
    assert open_models(str(sweep / "fold-0"))[0].description.postprocess is None
    evaluate([f"run={sweep}", "inference=tiled"])
    assert read(sweep / "out_of_fold.json")["evaluation"]["postprocess"] == {"fill_holes": {"max_size": 10}}


def test_a_seed_that_lacks_folds_is_said(sweep, capsys):
    shutil.copytree(sweep / "fold-1", sweep / "again")
    evaluate([f"run={sweep}", "inference=tiled"])
    content = read(sweep / "out_of_fold.json")
    assert "some cases were held out by 1 runs, others by 2" in content["evaluation"]["notes"][1]
    assert "others by 2" in " ".join(capsys.readouterr().out.split())


def test_what_nobody_held_out_is_not_scored(sweep):
    with pytest.raises(ValueError, match="2 of 6 cases are test cases of none of the 2 runs"):
        evaluate([f"run={sweep / 'fold-0'},{sweep / 'fold-2'}"])
    with pytest.raises(ValueError, match="out_of_fold=true needs several runs"):
        evaluate([f"run={sweep / 'fold-0'}", "out_of_fold=true"])
    with pytest.raises(ValueError, match="data or split are no more those of its training"):
        evaluate([f"run={sweep}", "data.split.seed=1", "data.split.method=random"])
    assert not (sweep / "out_of_fold.json").exists()
