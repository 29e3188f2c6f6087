"""``plan=auto`` and ``segexp plan`` as people run them: what is chosen, recorded, kept, and never planned twice."""

from pathlib import Path

import pytest
import yaml

from segexp.checkpoints import open_model
from segexp.command_line import with_plan
from segexp.runs.folder import RunFolder
from tests.conftest import write_pairs

DATA = ("data=folder", "data.source.images=images", "data.source.masks=masks")
QUICK = ("data.sampling.patch_size=[32,32]", "data.sampling.batch_size=4", "model.base_channels=4", "model.depth=2")
ENDING = ("data.sampling.patches_per_epoch=8", "callbacks.progress.enabled=false", "logger=none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("data"), 6, 40, 50)


@pytest.fixture
def data(folder, tmp_path) -> Path:
    for name in ("images", "masks"):
        (tmp_path / name).symlink_to(folder / name)
    return tmp_path


def test_a_planned_run_records_its_plan_and_resumes_without_another(answer, data):
    words = (*DATA, *QUICK, *ENDING, "plan=auto", "minutes=0.06", "hydra.run.dir=run")
    status, out, err = answer("train", *words)
    assert (status, err) == (0, "")
    assert "data: 4 training cases" in out
    run = RunFolder(data / "run")
    words = run.overrides()
    assert "augment=membrane" in words
    assert words.index("augment=membrane") < words.index("model.base_channels=4")
    assert not [word for word in words if word.startswith("plan=")]
    assert run.config()["model"]["base_channels"] == 4
    assert run.config()["minutes"] == 0.06
    plan = run.plan()
    assert plan is not None
    assert open_model(run.best_checkpoint).description.plan == plan.splitlines()
    assert yaml.safe_load(plan)["model"]["base_channels"] == 4
    # nothing is planned again
    status, out, _ = answer("train", "resume=run", "minutes=0.1")
    assert status == 0
    assert "training cases" not in out
    assert run.plan() == plan


def test_the_file_of_a_plan_trains_the_same(answer, data):
    status, out, err = answer("plan", *DATA, *QUICK, "minutes=0.2", "name=mine", "seed=5")
    assert (status, err) == (0, "")
    assert "train with: segexp train --config-dir plans experiment=mine" in out
    written = yaml.safe_load((data / "plans" / "experiment" / "mine.yaml").read_text())
    assert written["seed"] == 5
    assert written["model"] == {"depth": 2, "base_channels": 4}
    status, out, _ = answer(
        "train", "--config-dir", "plans", "experiment=mine", *ENDING, "hydra.run.dir=run", "--cfg", "job"
    )
    assert status == 0
    config = yaml.safe_load(out)
    assert config["augment"]["_target_"] == "segexp.data.Augment"
    assert config["seed"] == 5
    assert config["plan"] is None


def test_a_single_case_trains_and_nothing_is_claimed_for_others(answer, tmp_path):
    write_pairs(tmp_path, 1, 40, 50)
    status, out, err = answer("train", *DATA, *QUICK, *ENDING, "plan=auto", "minutes=0.05", "hydra.run.dir=run")
    assert (status, err) == (0, "")
    assert "too few to hold any back" in out
    assert "learned from these cases" in RunFolder(tmp_path / "run").results()["headline"]["note"]


@pytest.mark.slow
def test_jobs_of_a_sweep_share_a_plan_and_are_done_once(answer, data):
    words = ("-m", *DATA, *QUICK, *ENDING, "plan=auto", "minutes=0.1", "seed=1,2", "sweep.name=both")
    status, _, err = answer("train", *words)
    assert status == 0, err
    sweep = data / "outputs" / "both"
    assert len(list((sweep / "plans").glob("*.json"))) == 1
    one, two = (RunFolder(path.parent).config() for path in sorted(sweep.glob("*/run.json")))
    assert one["data"] == two["data"]
    assert answer("train", *words)[0] == 0
    assert len(list(sweep.glob("*/run.json"))) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plan=auto", "experiment=isbi_cpu"], "leave one of the two out"),
        (["plan=best"], "plan='best' is not one of"),
    ],
)
def test_what_cannot_be_planned_is_told(answer, data, words, sentence):
    status, _, err = answer("train", *DATA, *words)
    assert status == 1
    assert sentence in err
    assert not list(data.glob("outputs/*/*/run.json"))


@pytest.mark.parametrize(
    ("words", "planned"),
    [
        (["data=isbi"], True),
        (["data=isbi", "seed=3", "minutes=5", "paths.data_dir=x", "hydra.run.dir=y", "sweep=folds"], True),
        (["data=folder", "data.source.images=x"], True),
        (["data=synthetic"], False),
        ([], False),
        (["data=isbi", "model=unet"], False),
        (["data=isbi", "model.depth=3"], False),
        (["data=isbi", "trainer.max_epochs=3"], False),
        (["experiment=isbi_cpu", "data=isbi"], False),
        (["resume=run"], False),
    ],
)
def test_a_training_asked_for_by_its_data_alone_is_planned(words, planned):
    assert ("plan=auto" in with_plan(words)) == planned
