"""What the command line answers: one sentence for what the user can mend."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from segexp import __version__
from segexp.command_line import resumed
from segexp.ranks import RANKS
from tests.conftest import ROOT, SMALL, python, sentence, write_pairs


def test_version_and_help(answer):
    assert answer("--version") == (0, f"{__version__}\n", "")
    status, text, _ = answer("--help")
    assert status == 0
    assert "train" in text


def test_unknown_command_is_guessed(answer):
    status, _, text = answer("trian")
    assert status == 2
    assert "did you mean 'train'?" in text


def test_valid_network_with_an_impossible_patch(answer):
    said = sentence(answer, "model=unet_2015", "data.sampling.patch_size=[570,572]")
    assert "axis of 570 pixels cannot be halved evenly" in said
    assert "take 556 or 572" in said


def test_processes_inside_a_sweep_of_hydras_own_launcher_are_refused(answer):
    said = sentence(answer, "-m", "hydra/launcher=basic", "trainer=ddp_cpu", "seed=1,2")
    assert "each process would start the whole sweep again" in said


@pytest.mark.parametrize(
    "words",
    [
        ["data=synthetic", "-m", "seed=1,2", "--config-dir", "mine", "model=own"],
        ["data=synthetic", "seed=1,2", "--config-dir=mine", "model=own", "--multirun"],
        ["-cd", "mine", "model=own", "-m", "seed=1,2"],
    ],
)
def test_options_stand_anywhere_among_the_overrides(answer, tmp_path, words):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "own.yaml").write_text("defaults: [unet_tiny, _self_]\nbase_channels: 4\n")
    assert "sweep.seeds=-1" in sentence(answer, *words, "sweep.seeds=[-1]")  # refused once all jobs have been composed


def test_several_folders_of_configuration_are_all_read(answer, tmp_path):
    for folder, group in (("mine", "model"), ("yours", "loss")):
        (tmp_path / folder / group).mkdir(parents=True)
    (tmp_path / "mine" / "model" / "own.yaml").write_text("defaults: [unet_tiny, _self_]\nbase_channels: 5\n")
    (tmp_path / "yours" / "loss" / "own.yaml").write_text("defaults: [dice, _self_]\nsmooth: 0.25\n")
    words = ["--config-dir", "mine", "model=own", "-cd", "yours", "loss=own"]
    status, printed, _ = answer("train", *words, "--cfg", "job")
    assert (status, "base_channels: 5" in printed, "smooth: 0.25" in printed) == (0, True, True)
    assert "--config-dir his: there is no such folder" in sentence(answer, *words, "--config-dir", "his")


@pytest.mark.parametrize("words", [["data", "--cfg", "job"], ["-c", "job", "data"], ["seed=3", "--cfg=job"]])
def test_options_of_a_benchmark_stand_anywhere(answer, words):
    status, printed, said = answer("benchmark", *words)
    assert status == 0, said
    assert "subject: data" in printed


def test_options_of_the_commands_with_arguments_of_their_own_stand_anywhere(answer):
    for words in (["runs", "a", "--sort", "age", "b"], ["compare", "a", "--classes", "b"]):
        status, _, said = answer(*words)
        assert status == 1, said
        assert "unrecognized" not in said


def test_an_unknown_option_is_guessed(answer):
    said = sentence(answer, "seed=1", "--config-dri=mine", "model=own")
    assert said == "segexp train: --config-dri: no such option (did you mean '--config-dir'?); --hydra-help lists them"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data", "isbi"], "'data' is no key=value: write data=isbi, without spaces"),
        (["data", "=", "isbi"], "'data' is no key=value: write data=isbi, without spaces"),
        (["seed=1", "data=", "isbi"], "'isbi' is no key=value: write data=isbi, without spaces"),
        (["seed", "data=isbi"], "'seed' is no key=value: write seed=<value>, without spaces"),
        (["=3"], "'=3' is no key=value: write 3=<value>, without spaces"),
        (["--data=isbi"], "--data: no such option; --hydra-help lists them; an override has no dashes: data=isbi"),
    ],
)
def test_a_word_that_is_no_override_is_completed(answer, words, said):
    assert sentence(answer, *words) == f"segexp train: {said}"


INTERRUPTED_IMPORT = """
import importlib, signal, types
from segexp import cli

def import_module(name):
    signal.raise_signal(signal.SIGINT)
    module = importlib.import_module(name)
    print("imported", name)
    return module

cli.importlib = types.SimpleNamespace(import_module=import_module)
cli.main("runs")
"""


def test_a_signal_waits_for_the_end_of_an_import(tmp_path):
    """PyTorch aborts the process where an exception comes out of Python code that it calls."""
    done = python(tmp_path, "-c", INTERRUPTED_IMPORT)
    assert (done.returncode, done.stdout) == (130, "imported segexp.commands.runs\n")
    assert done.stderr.startswith("segexp runs: stopped by SIGINT")


def test_a_run_that_is_refused_leaves_no_folder(answer, tmp_path):
    status, _, said = answer("train", "data=synthetic", "name=mine", "+trainer.limit_val_batches=0")
    assert (status, list(tmp_path.rglob("*"))) == (1, [tmp_path / "outputs", tmp_path / "outputs" / "mine"]), said


@pytest.mark.parametrize(
    ("command", "variables", "told"),
    [
        ("train", {}, True),
        ("train", {"LOCAL_RANK": "1"}, False),
        ("train", {"SLURM_PROCID": "3"}, False),  # srun starts each process itself
        ("train", {"LOCAL_RANK": "0", "SLURM_PROCID": "3"}, True),  # one that starts its own within a SLURM task
        ("train", {"RANK": "4", "LOCAL_RANK": "0"}, False),  # torchrun, the first process of the second machine
        ("audit", {"SLURM_PROCID": "3"}, True),  # tasks that have nothing to do with each other
    ],
)
def test_of_several_processes_of_a_run_the_first_one_says_why_it_ended(answer, monkeypatch, command, variables, told):
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    status, _, said = answer(command, "data=sintetic")
    assert status == 1
    assert ("no such option" in said) is told


@pytest.mark.parametrize(("rank", "times"), [("0", 2), ("1", 1)])
def test_a_further_process_of_a_resumed_training_leaves_out_what_the_first_one_has_noted(
    tmp_path, monkeypatch, rank, times
):
    """To give `~callbacks.panels` twice would be an error."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "overrides.yaml").write_text("[data=synthetic, trainer.max_epochs=2]")
    (tmp_path / "run.json").write_text('{"status": "running"}')
    monkeypatch.setenv("LOCAL_RANK", rank)
    words = resumed([f"resume={tmp_path}", "trainer.max_epochs=2"])
    assert words.count("trainer.max_epochs=2") == times
    assert f"resume={tmp_path}" in words


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    write_pairs(tmp_path, 4, 40, 40)
    return tmp_path / "images", tmp_path / "masks"


def folder_words(folders: tuple[Path, Path]) -> list[str]:
    return ["data=folder", f"data.source.images={folders[0]}", f"data.source.masks={folders[1]}", "trainer=cpu"]


def test_mask_with_undeclared_values_names_file_and_values(answer, folders):
    Image.fromarray(np.array([[0, 7], [255, 9]], np.uint8).repeat(20, 0).repeat(20, 1)).save(folders[1] / "scan_2.png")
    said = sentence(answer, *folder_words(folders))
    assert "scan_2.png" in said
    assert "7" in said
    assert "9" in said


def test_missing_partner_sizes_and_unreadable_files_are_named(answer, folders):
    mask = folders[1] / "scan_1.png"
    kept = mask.read_bytes()
    mask.unlink()
    assert "scan_1" in sentence(answer, *folder_words(folders))
    Image.new("L", (30, 40)).save(mask)
    said = sentence(answer, *folder_words(folders))
    assert "scan_1.png" in said
    assert "30" in said
    mask.write_bytes(kept[:60])
    assert "scan_1.png" in sentence(answer, *folder_words(folders))


def test_a_missing_folder_is_named(answer):
    said = sentence(answer, "data=folder", "data.source.images=/no/such", "data.source.masks=/no/such")
    assert "/no/such" in said


def test_a_run_that_is_done_is_not_resumed(answer, tmp_path):
    folder = tmp_path / "done"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    (folder / "overrides.yaml").write_text("[]")
    (folder / "run.json").write_text('{"status": "done"}')
    assert "is complete; to train longer give trainer.max_epochs" in sentence(answer, f"resume={folder}")


QUICK = [*SMALL, "trainer=cpu", "trainer.max_epochs=1"]


@pytest.mark.slow
def test_an_interrupted_run_says_so_and_keeps_its_last_epoch(tmp_path):
    words = [sys.executable, ROOT / "train.py", *QUICK, "trainer.max_epochs=100000"]
    running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1800):
            if list(tmp_path.glob("outputs/*/*/checkpoints/last.ckpt")):
                break
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) != 0
    finally:
        running.kill()
    (run,) = tmp_path.glob("outputs/synthetic-unet_tiny/*")
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert f"resume={run.relative_to(tmp_path)}" in record["why"]
    torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.slow
def test_a_checkout_trains_sweeps_and_resumes(tmp_path):
    """The real commands in real processes: train.py, -m, resume."""

    def train(*words: str) -> str:
        done = python(tmp_path, ROOT / "train.py", *words, COLUMNS="120")
        assert done.returncode == 0, done.stderr
        return done.stdout

    printed = train(*QUICK)
    (run,) = (tmp_path / "outputs" / "synthetic-unet_tiny").iterdir()
    assert f"run folder   {run.relative_to(tmp_path)}" in printed
    assert "tensorboard --logdir" in printed

    train(f"resume={run}", "trainer.max_epochs=2")
    assert len((run / "metrics.csv").read_text().splitlines()) == 3
    assert "trainer.max_epochs=2" in yaml.safe_load((run / "overrides.yaml").read_text())

    train("-m", *QUICK, "loss=ce,dice")
    (sweep,) = (tmp_path / "outputs").glob("sweep_*")
    jobs = sorted(path for path in sweep.iterdir() if path.is_dir())
    assert [path.name.partition("__")[0] for path in jobs] == ["loss-ce", "loss-dice"]
    assert all((job / "results.json").is_file() for job in jobs)


def test_a_run_folder_that_cannot_be_made_is_told_before_anything_is_read(tmp_path, answer):
    (tmp_path / "file").write_text("")
    status, out, err = answer("train", "hydra.run.dir=file/run")
    assert status == 1
    assert "file/run cannot be made (Not a directory): give one that can be written to, with hydra.run.dir= or" in err
    assert "audit" not in out
