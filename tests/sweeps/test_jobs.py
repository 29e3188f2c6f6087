import itertools
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from segexp.cli import resumed
from segexp.sweeps.jobs import (
    Job,
    digest,
    folder_name,
    job_overrides,
    quoted,
    sweep_name,
    varying,
    with_replicates,
)


def test_a_job_is_known_by_its_overrides_whatever_their_order(tmp_path):
    one, two = (Job(words, tmp_path) for words in (("loss=ce", "seed=1"), ("seed=1", "loss=ce")))
    assert one.id == two.id != Job(("loss=ce", "seed=2"), tmp_path).id


def test_what_speaks_to_the_driver_is_no_part_of_a_job():
    words = ["model=unet", "sweep=folds", "sweep.retry=failed", "hydra/launcher=slurm", "hydra.launcher.jobs_at_once=2"]
    assert job_overrides([*words, "+sweep.x=1", "optimizer.lr=1"]) == ("model=unet", "optimizer.lr=1")


@pytest.mark.parametrize(
    "words",
    [
        ["loss=ce"],
        ["model=unet_bilinear", "data.sampling.patch_size=[32,32]", "optimizer.lr=0.001"],
        ["name='a b/c=d'", "data.source.values={0:0,255:1}"],
        ["~callbacks.ema", "+extra.key=1"],
        [f"data.source.root=/a/very/long/path/{'x' * 200}"],
    ],
)
def test_names_of_folders_are_short_and_need_no_quotes(words, tmp_path):
    name = folder_name(words, [word.lstrip("+~").partition("=")[0] for word in words])
    assert name.endswith(digest(words))
    assert len(name) <= 120
    (tmp_path / name).mkdir()
    parsed = OverridesParser.create().parse_override(f"resume={name}")
    assert parsed.value() == name


def test_long_numbers_are_short_in_names():
    assert folder_name(["optimizer.lr=0.00123456789012"], ["optimizer.lr"]).startswith("lr-0.001235__")
    assert folder_name(["optimizer.lr=0.0125"], ["optimizer.lr"]).startswith("lr-0.0125__")


def test_names_show_what_varies_and_differ_where_jobs_differ():
    jobs = [["data=isbi", f"loss={loss}", f"optimizer.lr={lr}"] for loss in ("ce", "dice") for lr in (0.1, 0.01)]
    shown = varying(jobs)
    assert shown == ["loss", "optimizer.lr"]
    names = [folder_name(words, shown) for words in jobs]
    assert names[0].startswith("loss-ce__lr-0.1__")
    assert len(set(names)) == 4


def test_seeds_and_folds_multiply_the_jobs_and_are_no_settings(tmp_path):
    made = with_replicates(("loss=ce",), seeds=[1, 2], folds=[0, 1, 2])
    assert [words for words, _ in made] == [
        ("loss=ce", f"seed={seed}", f"data.split.fold={fold}") for seed, fold in itertools.product([1, 2], [0, 1, 2])
    ]
    assert {Job(words, tmp_path, replicate=replicate).settings for words, replicate in made} == {("loss=ce",)}


def test_a_seed_on_the_command_line_is_a_replicate_too():
    ((words, replicate),) = with_replicates(("loss=ce", "seed=3"), None, None)
    assert (words, replicate) == (("loss=ce", "seed=3"), ("seed=3",))


def test_seeds_given_twice_are_refused():
    with pytest.raises(ValueError, match="seed is swept twice"):
        with_replicates(("seed=1",), seeds=[1, 2], folds=None)
    with pytest.raises(ValueError, match=r"sweep.folds=-1 must be an integer of at least 0"):
        with_replicates((), seeds=None, folds=[-1])


@pytest.mark.parametrize("folds", [2, 0, "0,1", True, {0: 1}], ids=str)
def test_folds_that_are_no_list_are_refused(folds):
    with pytest.raises(ValueError, match=r"sweep\.folds=.* must be a list of integers, such as \[0,1,2\], or null"):
        with_replicates((), seeds=None, folds=folds)


def test_a_widened_sweep_keeps_its_name():
    assert sweep_name("isbi", ["loss=ce", "seed=1,2"]) == sweep_name("isbi", ["loss=ce", "seed=1,2,3"])
    assert sweep_name("isbi", ["loss=ce", "seed=1,2"]) != sweep_name("isbi", ["loss=dice", "seed=1,2"])
    assert sweep_name("isbi", ["optimizer.lr=0.1,0.2", "sweep.retry=failed"]).startswith("sweep_isbi_lr_")


def test_a_job_goes_on_from_its_checkpoint(tmp_path):
    job = Job(("loss=ce",), tmp_path / "it's a job", ("train", "--config-dir", "mine"))
    start = [sys.executable, "-m", "segexp", "train", "--config-dir", "mine"]
    assert job.words()[:-1] == [*start, "loss=ce"]
    (job.folder / "checkpoints").mkdir(parents=True)
    (job.folder / "checkpoints" / "last.ckpt").touch()
    (job.folder / "overrides.yaml").write_text("[]")
    assert job.words()[:-1] == start
    assert job.words()[-1].startswith("resume='/")
    (job.folder / "run.json").write_text('{"status": "interrupted"}')
    assert f"hydra.run.dir={quoted(job.folder)}" in resumed(job.words()[4:])


def test_the_module_can_be_run():
    done = subprocess.run([sys.executable, "-m", "segexp", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip()
