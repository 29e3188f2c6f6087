"""How runs end as others see them: by signals in every phase, by failures, and what is left of them."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from segexp.cli import main
from segexp.runs.claim import take
from tests.conftest import HERE, PANELS, ROOT, SMALL, table, trained

WORDS = [*SMALL, *HERE, PANELS]
PHASES = {  # what is there once a phase has begun
    "reading": "run.json",
    "training": "metrics.csv",
    "scoring": "figures/*.png",
    "writing": "results.json",
}


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    command = [sys.executable, "-m", "segexp", "train", *WORDS, *words]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=env, text=True, **pipes)


def reaches(process: subprocess.Popen[str], there: Callable[[], object]) -> None:
    until = time.monotonic() + 200
    while not there():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.002)


def metrics(folder: Path) -> dict:
    results = json.loads((folder / "results.json").read_text())
    return {split: results[split] for split in ("val", "test")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("whole") / "run", "trainer.max_epochs=2")


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        pytest.param("scoring", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("reading", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("training", signal.SIGUSR1, marks=pytest.mark.slow),
        pytest.param("scoring", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("writing", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_every_phase_and_the_printed_command_goes_on(tmp_path, whole, phase, number):
    folder = tmp_path / "a run"
    process = start(tmp_path, "trainer.max_epochs=2", "hydra.run.dir='a run'")
    reaches(process, lambda: list(folder.glob(PHASES[phase])))
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    record = json.loads((folder / "run.json").read_text())
    if record["status"] != "done":  # the last file may be written before the signal comes
        assert (process.returncode, record["status"]) == (128 + number, "interrupted")
        assert record["why"].startswith(f"stopped by {number.name}; ")
        assert told.splitlines()[-1] == f"segexp train: {record['why']}"
        command = shlex.split(told.partition("with: ")[2])
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
        subprocess.run(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, check=True, timeout=250)
    assert metrics(folder) == metrics(whole)


@pytest.mark.slow
def test_a_killed_run_leaves_the_curves_of_every_finished_epoch(tmp_path):
    process = start(tmp_path, "trainer.max_epochs=1000", "hydra.run.dir=run")
    reaches(process, lambda: rows(tmp_path / "run") > 2)
    process.kill()
    process.communicate()
    epochs = [int(row["step"]) - 1 for row in table(tmp_path / "run" / "metrics.csv")]
    events = EventAccumulator(str(tmp_path / "run"), size_guidance={"scalars": 0})
    events.Reload()
    for tag in ("train/loss", "val/dice"):
        # The row of the last epoch may have been written just before its points.
        assert [event.step for event in events.Scalars(tag)][: len(epochs) - 1] == epochs[:-1]


def rows(run: Path) -> int:
    return len(table(run / "metrics.csv")) if (run / "metrics.csv").is_file() else 0


@pytest.mark.slow
def test_two_runs_that_start_in_one_second_get_a_folder_each(tmp_path):
    rates = ("0.001", "0.002")
    processes = [start(tmp_path, "trainer.max_epochs=1", f"optimizer.lr={rate}") for rate in rates]
    assert [process.communicate(timeout=250)[1] for process in processes] == ["", ""]
    found = {}
    for folder in (tmp_path / "outputs" / "test").iterdir():
        record = json.loads((folder / "run.json").read_text())
        assert record["status"] == "done"
        found[record["config"]["optimizer"]["lr"]] = float(table(folder / "metrics.csv")[0]["lr"])
    assert len(found) == 2


def test_a_folder_that_a_process_has_is_neither_begun_in_nor_resumed(answer, whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    with take(whole):
        for words in ([f"hydra.run.dir={whole}"], [f"resume={whole}", "trainer.max_epochs=3"]):
            status, _, told = answer("train", *WORDS, *words)
            assert status == 1
            assert f"is in use (process {os.getpid()} on " in told
            assert f"remove {whole}/.lock" in told
    status, _, told = answer("train", *WORDS, f"hydra.run.dir={whole}")
    assert status == 1
    assert "is not empty (cases.csv, checkpoints, config.yaml, …): a run starts in a folder of its own" in told
    assert f"go on with that run by resume={whole}" in told
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("*")}


FAULT = ["+callbacks.fault._target_=tests.integration.spy.FaultOfRank", "+callbacks.fault.rank=0"]


def test_a_failure_is_one_sentence_and_a_traceback_for_who_wants_it(answer, monkeypatch, tmp_path):
    words = ("train", *WORDS, "trainer.max_epochs=2", *FAULT)
    status, _, told = answer(*words)
    assert status == 1
    assert told == "segexp train: OSError: planted (HYDRA_FULL_ERROR=1 shows where)\n"
    monkeypatch.setattr(sys, "argv", ["segexp", *words])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(OSError, match="planted"):
        main()
