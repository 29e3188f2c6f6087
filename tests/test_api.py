"""Training from Python: the run as its result, errors as exceptions, and nothing left behind in the process."""

import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import segexp
from segexp import api
from tests.conftest import HERE, SMALL, python, table
from tests.test_imports import loaded

WORDS = [*SMALL, *HERE, "trainer.max_epochs=1", "logger=none", "callbacks.panels.enabled=false"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> segexp.TrainedRun:
    return segexp.train([*WORDS, "seed=3"], run_dir=tmp_path_factory.mktemp("api") / "run")


def test_a_run_tells_its_folder_results_record_cases_and_curves(run):
    assert run.record["status"] == "done"
    assert run.results == json.loads((run.folder / "results.json").read_text())
    cases = run.cases
    assert isinstance(cases, pd.DataFrame)
    mean = cases[cases["split"] == "test"]["dice"].mean()
    assert mean == pytest.approx(run.results["test"]["dice"])
    assert run.curves["epoch"].tolist() == [0]
    assert repr(run) == f"TrainedRun({str(run.folder)!r}, done, test/dice={run.metrics['dice']:.4f})"


def test_without_pandas_the_rows_are_mappings_with_numbers(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = segexp.open_run(run.folder).cases
    written = table(run.folder / "cases.csv")
    assert [row["case"] for row in rows] == [row["case"] for row in written]
    assert [row["iou"] for row in rows] == [float(row["iou"] or "nan") for row in written]


def test_a_run_predicts(run):
    labels = run.predict(np.zeros((1, 40, 48), np.float32)).labels
    assert labels.shape == (40, 48)


def test_the_run_is_recorded_as_the_command_records_it(run, answer):
    assert run.record["overrides"] == [*WORDS, "seed=3"]
    assert run.record["command"][1:] == ["train", *WORDS, "seed=3", f"hydra.run.dir='{run.folder}'"]
    status, told, said = answer("train", *WORDS, "seed=3", "hydra.run.dir=twin")
    assert status == 0, told + said
    assert table(Path("twin") / "cases.csv") == table(run.folder / "cases.csv")
    status, told, said = answer("evaluate", f"run={run.folder}", "split=val")
    assert status == 0, told + said


@pytest.mark.slow
def test_a_run_is_resumed_in_its_folder(run, tmp_path):
    first = segexp.train(WORDS, run_dir=tmp_path / "run")
    again = segexp.train([f"resume={first.folder}", "trainer.max_epochs=2"])
    assert again.folder == first.folder
    assert len(again.curves) == 2
    assert [found.folder for found in segexp.find_runs(tmp_path)] == [first.folder]


def test_a_training_leaves_the_process_as_it_was(tmp_path):
    def state() -> tuple:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
        streams = [sys.stdout, sys.stderr, list(sys.argv), os.getcwd(), signal.set_wakeup_fd(-1)]
        return *handlers, *streams, list(warnings.filters), GlobalHydra.instance().hydra, HydraConfig.get()

    segexp.compose(["name=mine"])
    before, threads = state(), threading.active_count()
    with pytest.raises(ValueError, match="depth=0 must be"):
        segexp.train([*WORDS, "model.depth=0"], run_dir=tmp_path / "run")
    assert state() == before
    until = time.monotonic() + 10
    while threading.active_count() > threads:
        assert time.monotonic() < until, threading.enumerate()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["loss=dicee"], r"loss=dicee: no such option \(did you mean 'dice'\?\)"),
        (["model.depht=2"], r"model.depht: no such key \(did you mean 'model.depth'\?\)"),
        (["seed=-1"], "seed=-1 must be an integer of at least 0"),
        (["trainer=ddp_cpu"], "trainer.strategy=ddp starts processes with the command line: take segexp train"),
        (["sweep=folds"], "one call trains one run"),
        (["seed=1,2"], "seed=1,2"),
        (["resume=nowhere"], "resume=nowhere: nothing to resume"),
    ],
)
def test_errors_are_exceptions_with_the_sentence_of_the_command(tmp_path, words, sentence):
    with pytest.raises(Exception, match=sentence) as failure:
        segexp.train([*WORDS, *words], run_dir=tmp_path / "run")
    assert not isinstance(failure.value, SystemExit)


def test_what_is_no_list_of_words_or_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"overrides='seed=1' must be a list of words: \['seed=1'\]"):
        segexp.train("seed=1")
    with pytest.raises(FileNotFoundError, match=f"config_dir={tmp_path / 'none'}: there is no such folder"):
        segexp.train(config_dir=tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no run there"):
        segexp.open_run(tmp_path)


def test_options_of_a_folder_of_ones_own_are_found(tmp_path):
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "half.yaml").write_text("defaults: [ce]\nignore_index: 254\n")
    run = segexp.train([*WORDS, "loss=half"], config_dir=tmp_path / "conf", run_dir=tmp_path / "run")
    assert run.record["config"]["loss"]["ignore_index"] == 254
    assert f"--config-dir={tmp_path / 'conf'}" in run.record["command"]


def test_in_another_thread_and_only_one_at_a_time(tmp_path):
    runs: list[segexp.TrainedRun] = []
    thread = threading.Thread(target=lambda: runs.append(segexp.train(WORDS, run_dir=tmp_path / "run")))
    thread.start()
    while not api._training.locked() and thread.is_alive():
        pass
    with pytest.raises(RuntimeError, match="another thread of this process is training"):
        segexp.train(WORDS, run_dir=tmp_path / "other")
    thread.join()
    assert [run.folder for run in runs] == [tmp_path / "run"]


NETWORK = """
from torch import nn

class Thin(nn.Sequential):
    def __init__(self, inputs=1, outputs=2):
        super().__init__(nn.Conv2d(inputs, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, outputs, 1))
"""


@pytest.mark.slow
def test_a_network_beside_a_folder_of_ones_own_trains_predicts_and_is_resumed(tmp_path):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "thin.yaml").write_text(
        "_target_: thin_of_test_api.Thin\ninputs: ${data.channels}\noutputs: ${data.labels.num_classes}\n"
    )
    (tmp_path / "thin_of_test_api.py").write_text(NETWORK)
    words = [*(word for word in WORDS if not word.startswith("model.")), "model=thin"]
    run = segexp.train(words, config_dir=tmp_path / "conf", run_dir=tmp_path / "run")
    assert run.predict(np.zeros((1, 40, 48), np.float32)).labels.shape == (40, 48)
    assert len(segexp.train([f"resume={run.folder}", "trainer.max_epochs=2"]).curves) == 2


INTERRUPTED = """
import signal, time
import segexp

def interrupt(self, trainer, *_):
    if trainer.global_step == 2:
        signal.raise_signal(signal.SIGINT)

from segexp.training.divergence import Divergence
Divergence.on_train_batch_end = interrupt
try:
    segexp.train(WORDS, run_dir="run")
except KeyboardInterrupt:
    print("KeyboardInterrupt")
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
time.sleep(1)
print(segexp.open_run("run").record["status"])
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_training_with_a_checkpoint_and_is_raised_as_ever(tmp_path):
    words = [*WORDS, "data.sampling.patches_per_epoch=64"]
    script = INTERRUPTED.replace("WORDS", repr(words))
    done = python(tmp_path, "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["KeyboardInterrupt", "interrupted"]
    assert "segexp train: stopped by SIGINT; resume with: " in done.stderr
    assert len(segexp.train([f"resume={tmp_path / 'run'}"]).curves) == 1


def test_the_import_of_the_package_is_light(tmp_path):
    (modules,) = loaded(str(tmp_path), "import segexp\nassert 'train' in dir(segexp)\n")
    assert not modules & {"torch", "hydra", "omegaconf", "numpy", "pytorch_lightning"}
    with pytest.raises(AttributeError, match="module 'segexp' has no attribute 'trane'"):
        _ = segexp.trane


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("--config-dir", "--config-dir is no override: give folders of configuration as config_dir="),
        ("-m", "-m is no override: .* a sweep"),
        ("seed=1,2", "seed=1,2 has several values, but one call trains one run"),
    ],
)
def test_options_and_sweeps_of_the_command_line_are_refused(word, sentence):
    with pytest.raises(ValueError, match=sentence):
        segexp.train([word, "trainer=cpu"])
