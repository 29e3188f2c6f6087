"""Runs trained for a second, scored again; post-processing chosen on real labels."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from skimage.morphology import remove_small_objects
from sklearn.metrics import f1_score

from segexp.build import build_data
from segexp.checkpoints import open_model
from segexp.commands.evaluate import evaluate
from segexp.comparison.comparison import compare
from segexp.config import compose, plain
from segexp.evaluation.trained import open_trained
from segexp.inference import FlipTurnPredictor, TiledPredictor
from segexp.runs.claim import take
from segexp.runs.files import write_json
from segexp.runs.runs import find_runs
from tests.conftest import SMALL, trained

LONGER = ["trainer.max_epochs=4", "metrics=membrane"]


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    words = [*LONGER, "inference=tiled_turns", "data.sampling.foreground_fraction=0.5", "optimizer.lr=1e-2", "seed=3"]
    return trained(folder, *words)


@pytest.fixture
def run(first, tmp_path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(first, tmp_path / "first"))


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def change(path: Path, **values) -> None:
    write_json(path, read(path) | values)


def rows(folder: Path, side: str) -> list[dict[str, str]]:
    with (folder / "cases.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == side]


@pytest.mark.parametrize("side", ["test", "val"])
def test_figures_are_those_of_the_end_of_training_bit_for_bit(run, side, capsys):
    evaluate([f"run={run}", f"split={side}"])
    folder = run.with_name(f"first-{side}")
    before, after = read(run / "results.json"), read(folder / "results.json")
    for part in (after, after["curves"], after["protocol"], after["undefined"]):
        whole = before if part is after else before[next(key for key, value in after.items() if value is part)]
        assert part[side] == whole[side]
    assert rows(folder, side) == rows(run, side)
    assert after["chosen_on_val"] == before["chosen_on_val"]
    assert "to the last bit" in capsys.readouterr().out
    assert read(folder / "run.json")["status"] == "done"


@pytest.fixture(scope="module")
def second(tmp_path_factory) -> Path:
    """A run of another network, seed and split."""
    folder = tmp_path_factory.mktemp("more") / "second"
    words = ["seed=5", "model.base_channels=6", "data.split.val=0-1", "data.split.test=6-8", "optimizer.lr=1e-2"]
    return trained(folder, *LONGER, *words)


def test_several_runs_are_scored_by_the_mean_of_their_probabilities(run, second, capsys):
    evaluate([f"run={run},{second}", "inference=tiled", "worst=1"])
    folder = run.with_name("first-ensemble2-test")
    results, record = read(folder / "results.json"), read(folder / "run.json")
    said = " ".join(capsys.readouterr().out.split())
    assert "mean of the runs alone" in said
    assert "second: the network has learned from" not in said
    assert "second: chose epoch" not in said
    data = build_data(plain(compose(read(run / "run.json")["overrides"])))
    data.setup()
    networks = [open_model(path).network for path in (run, second)]
    scores = []
    for batch in data.test_dataloader():
        predicted = [TiledPredictor(tile=[32, 32])(network, batch["image"])[0] for network in networks]
        labels = (predicted[0] + predicted[1]).argmax(0).numpy() == 1
        scores.append(f1_score(batch["target"][0].numpy().ravel() == 1, labels.ravel()))
    assert results["test"]["dice"] == pytest.approx(np.mean(scores), abs=1e-6)
    alone = [read(path / "results.json") for path in (run, second)]
    assert results["test"]["dice"] not in [one["test"]["dice"] for one in alone]
    assert results["test"]["threshold"] == min([one["test"]["threshold"] for one in alone])
    assert record["parameters"] == sum(read(path / "run.json")["parameters"] for path in (run, second))
    assert record["config"]["evaluate"]["networks"] == 2


def test_an_ensemble_tells_what_each_of_its_runs_has_seen(run, second):
    evaluate([f"run={run},{second}", "split=val", "out_of_fold=false", "worst=0"])
    notes = read(run.with_name("first-ensemble2-val") / "results.json")["evaluation"]["notes"]
    assert notes == ["second: the network has learned from 3 of these 3 cases: their scores are optimistically biased"]


def test_runs_that_do_not_go_together_are_not_scored_as_one(run, second, tmp_path):
    with pytest.raises(ValueError, match="tune=true chooses for one run: tune each on its own"):
        evaluate([f"run={run},{second}", "tune=true"])
    path = Path(shutil.copytree(second, tmp_path / "other")) / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for change, words in (
        ({"class_names": ["a", "b"]}, r"model 2 has class_names=\['a', 'b'\] and model 1 has"),
        ({"intensity": {"rule": "Window", "low": 0.0, "high": 255.0}}, "run 2 has intensity=.* are made ready once"),
    ):
        torch.save(checkpoint | {"segexp": checkpoint["segexp"] | change}, path)
        with pytest.raises(ValueError, match=words):
            evaluate([f"run={run},{tmp_path / 'other'}"])


@pytest.mark.filterwarnings("ignore:Mean of empty slice")  # compare, of a class that a metric does not score
def test_compare_takes_an_evaluation_for_the_run_where_nothing_differs_and_tells_it_apart_where_something_does(run):
    evaluate([f"run={run}", "worst=0"])
    evaluate([f"run={run}", "split=train", "worst=0"])
    same = compare(find_runs([str(run), str(run.with_name("first-test"))]), ["dice"])
    assert len(same["experiments"]) == 1
    assert len(same["experiments"][0]["runs"]) == 1
    other = compare(find_runs([str(run), str(run.with_name("first-train"))]), ["dice"])
    assert [row["key"] for row in other["differences"]] == ["evaluate.split", "evaluate.postprocess"]
    results = read(run.with_name("first-train") / "results.json")
    assert "no test score" in results["headline"]["note"]
    assert (
        list(dict.fromkeys(row["case"] for row in rows(run.with_name("first-train"), "train")))
        == results["cases"]["train"]
    )
    assert not (run.with_name("first-train") / "figures").exists()


def test_a_threshold_is_not_chosen_on_the_cases_that_are_scored(run):
    results = read(run / "results.json")
    other = 0.8 if results["test"]["threshold"] != 0.8 else 0.7
    change(run / "results.json", chosen_on_val=results["chosen_on_val"] | {"threshold": other})
    evaluate([f"run={run}", "worst=0"])
    found = read(run.with_name("first-test") / "results.json")
    assert found["test"]["threshold"] == found["chosen_on_val"]["threshold"] == other
    assert f"threshold {other}, which was fixed beforehand" in found["protocol"]["test"]["v_rand"]
    assert found["test"]["dice"] == results["test"]["dice"]
    (run / "results.json").unlink()  # a run that was interrupted: what the best epoch had chosen
    kept = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["segexp"]["chosen"]
    assert open_trained(run).chosen == kept


def test_kept_steps_are_applied_and_scored_as_labels(run):
    (run / "postprocess.json").write_text('{"min_size": {"size": 10}}')
    evaluate([f"run={run}"])
    found, before = read(run.with_name("first-test") / "results.json"), read(run / "results.json")
    assert found["without_postprocess"]["test"] == before["test"]
    assert "labels post-processed: min_size (size=10)" in found["protocol"]["test"]["dice"]
    assert found["test"]["ece"] == before["test"]["ece"]  # of the probabilities
    assert not {"v_rand_max", "v_info_max"} & set(found["test"])
    network = open_model(run / "checkpoints" / "best.ckpt").network
    data = build_data(plain(compose(read(run / "run.json")["overrides"])))
    data.setup()
    predict = FlipTurnPredictor(TiledPredictor(tile=[32, 32]))
    scores = []
    for batch in data.test_dataloader():
        labels = predict(network, batch["image"])[0].argmax(0).numpy() == 1
        pred = remove_small_objects(labels, max_size=9)
        scores.append(f1_score(batch["target"][0].numpy().ravel() == 1, pred.ravel()))
    assert found["test"]["dice"] == pytest.approx(np.mean(scores), abs=1e-12)
    assert found["test"]["dice"] != before["test"]["dice"]
    evaluate([f"run={run}", "postprocess=false"])  # takes the place of the earlier one
    assert read(run.with_name("first-test") / "results.json")["test"] == before["test"]


def test_tuning_writes_what_it_kept_into_the_run(run, capsys):
    evaluate([f"run={run}", "tune=true", "monitor=val/dice", "worst=2"])
    account = read(run.with_name("first-test") / "results.json")["evaluation"]["tuning"]
    kept = {step: found["on_top"]["settings"] for step, found in account["steps"].items() if found["kept"]}
    epoch = read(run / "results.json")["chosen_on_val"]["epoch"]
    assert read(run / "postprocess.json") == {"epoch": epoch, **kept}
    assert list(account["steps"]) == ["largest_component", "min_size", "fill_holes"]  # dice sees no lines
    assert account["before"] == pytest.approx(read(run / "results.json")["val"]["dice"], abs=1e-12)
    assert len(account["steps"]["min_size"]["alone"]) == 4
    assert "dice on val" in capsys.readouterr().out


def test_a_run_at_work_is_not_tuned(run):
    with take(run), pytest.raises(BlockingIOError, match="is in use"):
        evaluate([f"run={run}", "tune=true", "monitor=val/dice", "worst=0"])
    assert not (run / "postprocess.json").exists()


def test_worst_cases_are_drawn(run):
    evaluate([f"run={run}", "worst=2", "monitor=val/dice"])
    folder = run.with_name("first-test")
    dice = {row["case"]: float(row["dice"]) for row in rows(folder, "test") if row["dice"]}
    names = sorted(dice, key=dice.__getitem__)[:2]
    figures = folder / "figures"
    assert {path.name for path in figures.iterdir()} == {"worst.png", *(f"test_{name}.png" for name in names)}
    with Image.open(figures / "worst.png") as whole, Image.open(figures / f"test_{names[0]}.png") as first:
        assert whole.width == first.width
        assert np.array_equal(np.asarray(whole)[16 : 16 + first.height], np.asarray(first))


def test_other_data_are_made_ready_as_the_networks_own_and_told(run, capsys):
    words = [f"run={run}", "data=synthetic", "data.source.seed=3", "data.source.size=[64,64]", "data.split.test=0.5"]
    evaluate([*words, "worst=0"])
    printed = capsys.readouterr().out
    assert "these are not the data of the training" in printed
    assert "to the last bit" not in printed
    record = read(run.with_name("first-synthetic-test") / "run.json")
    assert record["config"]["data"]["sampling"]["patch_size"] == [32, 32]  # the tiles are those of the run
    assert record["data_fingerprint"] != read(run / "run.json")["data_fingerprint"]
    with pytest.raises(ValueError, match="choose data of the same classes"):
        evaluate([*words, "data.labels.class_names=[background,cell]"])
    with pytest.raises(ValueError, match="tune=true chooses for the run"):
        evaluate([*words, "tune=true"])


def test_cases_that_were_trained_on_are_told(run, capsys):
    evaluate([f"run={run}", "data.split.test='0-1,6'", "data.split.val=3-5", "worst=0"])
    assert "the network has learned from 2 of these 3 cases" in capsys.readouterr().out


def test_regions_are_scored_again(tmp_path):
    folder = tmp_path / "first"
    words = ["data.labels.num_classes=3", "data.labels.class_names=[interior,membrane,organelle]", "loss=bce"]
    trained(folder, "trainer.max_epochs=2", *words, "data.labels.regions={tissue: [1, 2], organelle: [2]}")
    (folder / "postprocess.json").write_text('{"fill_holes": {"classes": [0]}}')
    same = ["data=synthetic", "data.source.size=[48,48]", "data.source.count=9", *SMALL[2:4], *words[:2]]
    evaluate([f"run={folder}", *same])
    before = read(folder / "results.json")
    after = read(tmp_path / "first-synthetic-test" / "results.json")
    assert after["without_postprocess"]["test"] == before["test"]  # the same data, said anew
    assert after["test"]["recall_tissue"] >= before["test"]["recall_tissue"]
    assert after["test"]["dice_organelle"] == before["test"]["dice_organelle"]


# Words and strangers


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("model.depth=3", "model.depth=3: that belongs to the trained network"),
        ("data.geometry.spacing=[1,1]", "that belongs to the trained network"),
        ("data/intensity=percentile", "that belongs to the trained network"),
        ("split=tset", "did you mean 'test'"),
        ("worst=-1", "worst=-1 must be an integer of at least 0"),
        ("more", "more is no key=value"),
        ("monitor=val/v_rnd", "monitor=val/v_rnd is no score of the metrics .did you mean 'val/v_rand'"),
        ("monitor=val/ece tune=true", "monitor=val/ece is not measured case by case"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(run, word, sentence):
    with pytest.raises(ValueError, match=sentence):
        evaluate([f"run={run}", *word.split()])


def test_what_is_no_run_is_refused(run):
    with pytest.raises(FileNotFoundError, match="did you mean .*first"):
        evaluate([f"run={run.with_name('frist')}"])
    evaluate([f"run={run}", "worst=0"])
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        evaluate([f"run={run.with_name('first-test')}"])
    evaluate([f"run={run}", "worst=0", f"--config-dir={run.parent}", "--trust"])  # the same evaluation once more
    with pytest.raises(FileExistsError, match="holds something else"):
        evaluate([f"run={run}", f"output={run}"])
    with pytest.raises(FileExistsError, match="holds something else"):
        evaluate([f"run={run}", "inference=tiled"])
    with pytest.raises(ValueError, match=r"split=test: the data have no such cases; give another split"):
        evaluate([f"run={run}", "split=test", "data.split.test=0"])


@pytest.mark.parametrize(
    "override",
    [
        "data.source._target_=os.system",
        "++optimizer._target_=subprocess.run",
        "metrics.overlap={_target_: builtins.eval}",
        "data.source._target_=hydra.utils.get_method",
        "scheduler._target_=torch.hub.load",
    ],
)
def test_classes_that_only_the_run_names_are_not_built(run, override):
    change(run / "run.json", overrides=[*read(run / "run.json")["overrides"], override])
    with pytest.raises(ValueError, match="which none of the configuration files has"):
        evaluate([f"run={run}"])


def test_an_evaluation_at_work_keeps_its_folder(run):
    folder = run.with_name("first-val")
    with take(folder), pytest.raises(BlockingIOError, match="first-val is in use .process"):
        evaluate([f"run={run}", "split=val"])
    assert not list(folder.iterdir())
    evaluate([f"run={run}", "split=val"])
    (folder / "notes.md").touch()
    evaluate([f"run={run}", "split=val"])  # one of the same kind makes way, what is beside it stays
    assert (folder / "notes.md").is_file()
    assert not (folder / ".lock").exists()


@pytest.mark.parametrize("scale", [1, 255])
def test_other_data_far_from_the_training_are_noted_and_strict_refuses_them(run, tmp_path, capsys, scale):
    source = build_data(plain(compose(SMALL, run_dir="unused"))).source
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for entry in source.entries():
        case = source.read(entry.name)
        tifffile.imwrite(tmp_path / "images" / f"{entry.name}.tif", case.image[0] / np.float32(scale))
        Image.fromarray(case.target * np.uint8(255)).save(tmp_path / "masks" / f"{entry.name}.png")
    words = [f"data.source.{kind}={tmp_path / kind}" for kind in ("images", "masks")]
    words += ["data=folder", "data.labels.class_names=[interior,membrane]", "data.split.val=3-5", "data.split.test=6-8"]
    evaluate([f"run={run}", f"output={tmp_path / 'out'}", *words])
    said = capsys.readouterr().out
    assert "these are not the data of the training" in said
    strict = [f"run={run}", f"output={tmp_path / 'strict'}", *words, "strict=true"]
    if scale == 1:
        assert "not as in training" not in said
        evaluate(strict)
    else:
        assert "intensities of 3 of 3 cases are not as in training, such as cells_0006: intensities lie from 0." in said
        with pytest.raises(ValueError, match="strict=true: intensities of 3 of 3 cases.*strict=false scores them all"):
            evaluate(strict)
