"""Real processes (tests/sweeps/tiny_job.py) that end well, fail, hang and are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segexp.runs.claim import take
from segexp.sweeps.ledger import Ledger
from segexp.sweeps.local import LocalEngine, environment
from segexp.sweeps.pool import Pool, last_lines
from tests.sweeps.tiny_job import TinyJob, lines_of

DRIVER = """
import sys
from pathlib import Path
from segexp.stopping import heeded, without_deadline
from tests.sweeps.test_pool import jobs_of, pool_of
folder = Path(sys.argv[1])
with heeded():
    without_deadline()
    pool_of(folder).run(jobs_of(folder, *(words.split() for words in sys.argv[2:])))
"""


class Silent:
    def update(self, jobs):
        pass

    def close(self):
        pass


def jobs_of(folder: Path, *words: list[str]) -> list[TinyJob]:
    jobs = [TinyJob(tuple(own), folder / "x") for own in words]
    return [TinyJob(job.overrides, folder / job.id) for job in jobs]


def pool_of(folder: Path, **settings) -> Pool:
    engine = LocalEngine(jobs_at_once=2, gpus_per_job=0, stop_seconds=2)
    return Pool(engine, Ledger(folder / "ledger.jsonl"), Silent(), **settings)


def states(folder: Path) -> list[str]:
    return [entry.state for entry in Ledger(folder / "ledger.jsonl").entries().values()]


def starts(folder: Path) -> list[int]:
    return [entry.starts for entry in Ledger(folder / "ledger.jsonl").entries().values()]


def wait_for(condition, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def drive(folder: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(folder), *words], cwd=Path(__file__).parents[2])


def test_a_fault_of_one_job_leaves_the_others_alone(tmp_path):
    jobs = jobs_of(tmp_path, ["a=1"], ["do=raise"], ["do=die"], ["a=2"])
    ended = pool_of(tmp_path).run(jobs)
    assert [item.state for item in ended] == ["done", "failed", "failed", "done"]
    assert ended[1].why == "RuntimeError: planted"
    assert ended[2].why == "killed by signal 9, as when memory runs out"
    assert "RuntimeError: planted" in last_lines(jobs[1], 1)


def test_what_is_done_is_skipped_and_what_failed_is_only_retried_when_asked(tmp_path):
    words = [["a=1"], ["do=die"]]
    for _ in range(2):
        pool_of(tmp_path).run(jobs_of(tmp_path, *words))
        assert states(tmp_path) == ["done", "failed"]
        assert starts(tmp_path) == [1, 1]
    pool_of(tmp_path, retry="failed").run(jobs_of(tmp_path, *words))
    assert starts(tmp_path) == [1, 2]


def test_a_job_with_a_damaged_file_fails_and_stops_nothing(tmp_path):
    jobs = jobs_of(tmp_path, ["a=1"], ["a=2"], ["a=3"])
    pool_of(tmp_path).run(jobs[:2])
    damaged = jobs[0].files.results_path
    damaged.write_bytes(damaged.read_bytes()[:-9])
    for retry in (None, "failed"):
        ended = pool_of(tmp_path, retry=retry).run(jobs)
        assert [item.state for item in ended][1:] == ["done", "done"]
        if retry is None:
            assert ended[0].state == "failed"
            assert "results.json cannot be read as JSON" in ended[0].why
    assert ended[0].state == "done"  # started again, it has written a whole one


def test_a_failure_that_the_ledger_has_lost_is_no_new_start(tmp_path):
    jobs = jobs_of(tmp_path, ["do=raise"])
    pool_of(tmp_path).run(jobs)
    (tmp_path / "ledger.jsonl").unlink()
    (ended,) = pool_of(tmp_path).run(jobs)
    assert (ended.state, ended.why) == ("failed", "RuntimeError: planted")
    assert starts(tmp_path) == [0]


def test_a_retried_job_goes_on_from_its_checkpoint(tmp_path):
    (job,) = jobs_of(tmp_path, ["do=die"])
    pool_of(tmp_path).run([job])
    assert (job.folder / "checkpoints" / "last.ckpt").read_text() == "1"
    (job.folder / "checkpoints" / "last.ckpt").write_text(
        "2"
    )  # it dies in its second epoch, so let it begin after that
    (ended,) = pool_of(tmp_path, retry="failed").run([job])
    assert ended.state == "done"


def test_fail_fast_starts_no_more(tmp_path):
    ended = pool_of(tmp_path, fail_fast=True).run(jobs_of(tmp_path, ["do=raise"], ["a=1"], ["a=2"], ["a=3"]))
    found = [item.state for item in ended]
    assert found[:2] == ["failed", "done"]
    assert found[-1] == "queued"


def test_the_next_job_of_a_generator_is_asked_for_when_there_is_room(tmp_path):
    running: list[int] = []
    pool = pool_of(tmp_path)

    def jobs():
        for job in jobs_of(tmp_path, *([f"a={number}"] for number in range(5))):
            running.append(sum(item.state == "running" for item in pool.tracked))
            yield job

    assert [item.state for item in pool.run(jobs())] == ["done"] * 5
    assert max(running) == 1  # of two places, one is always free at that time


def test_a_job_that_on_epoch_finds_poor_is_pruned(tmp_path):
    rows = []
    pool = pool_of(tmp_path, on_epoch=lambda item, row: rows.append(row) or float(row["val/dice"]) < 0.1)
    poor, good = pool.run(jobs_of(tmp_path, ["value=0.2", "epochs=50", "seconds=0.5"], ["value=0.9"]))
    assert (poor.state, good.state) == ("pruned", "done")
    assert len([row for row in rows if float(row["val/dice"]) >= 0.1]) == 3
    assert poor.job.files.record()["status"] == "interrupted"


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_stopping_the_driver_stops_the_jobs_cleanly_and_the_next_start_goes_on(tmp_path, signum):
    words = ["seconds=0.3 epochs=8 a=1", "seconds=0.3 epochs=8 a=2 do=hang"]
    driver = drive(tmp_path, *words)
    jobs = jobs_of(tmp_path, *(word.split() for word in words))
    wait_for(lambda: all((job.folder / "checkpoints" / "last.ckpt").is_file() for job in jobs))
    driver.send_signal(signum)
    assert driver.wait(30) != 0
    assert states(tmp_path) == ["interrupted", "interrupted"]
    assert jobs[0].files.record()["status"] == "interrupted"
    with take(jobs[1].folder):  # the one that would not stop was killed
        pass
    pool_of(tmp_path).run(jobs)
    assert states(tmp_path) == ["done", "done"]
    assert all(len((job.folder / "metrics.csv").read_text().splitlines()) == 9 for job in jobs)


def test_a_killed_driver_leaves_its_jobs_alive_and_the_next_one_waits_for_them(tmp_path):
    words = ["seconds=0.3 epochs=6 a=1", "seconds=0.3 epochs=6 do=raise", "a=3"]
    driver = drive(tmp_path, *words)
    wait_for(lambda: states(tmp_path).count("running") == 2)
    driver.kill()
    driver.wait()
    jobs = jobs_of(tmp_path, *(word.split() for word in words))
    ended = pool_of(tmp_path).run(jobs)
    assert [item.state for item in ended] == ["done", "failed", "done"]
    assert starts(tmp_path) == [1, 1, 1]
    assert ended[1].why == "RuntimeError: planted"


def test_a_job_that_died_with_its_driver_is_gone_on_with(tmp_path):
    driver = drive(tmp_path, "seconds=0.3 epochs=6")
    (job,) = jobs_of(tmp_path, ["seconds=0.3", "epochs=6"])
    wait_for(lambda: (job.folder / "checkpoints" / "last.ckpt").is_file())
    driver.kill()
    driver.wait()
    os.kill(json.loads((job.folder / "run.json").read_text())["pid"], signal.SIGKILL)
    (ended,) = pool_of(tmp_path).run([job])
    assert ended.state == "done"
    assert starts(tmp_path) == [2]


@pytest.mark.slow
def test_two_drivers_divide_the_jobs(tmp_path):
    words = [f"a={number}" for number in range(8)]
    drivers = [drive(tmp_path, *words) for _ in range(2)]
    assert [driver.wait(60) for driver in drivers] == [0, 0]
    assert states(tmp_path) == ["done"] * 8
    assert starts(tmp_path) == [1] * 8
    by = {line["driver"] for line in lines_of(tmp_path) if line["state"] == "running"}
    assert len(by) == 2


def test_a_job_inherits_nothing_of_other_jobs(monkeypatch):
    for key in ("LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "PL_GLOBAL_SEED"):
        monkeypatch.setenv(key, "1")
    one, two = environment(["2", "3"], 4), environment([], 1)
    assert not {"LOCAL_RANK", "WORLD_SIZE", "PL_GLOBAL_SEED"} & set(one)
    assert (one["CUDA_VISIBLE_DEVICES"], one["OMP_NUM_THREADS"]) == ("2,3", "4")
    assert two["CUDA_VISIBLE_DEVICES"] == ""
    assert int(one["MASTER_PORT"]) > 1024


def test_gpus_are_shared_out(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    engine = LocalEngine(gpus_per_job=2)
    assert (engine.jobs_at_once, engine.free_gpus) == (2, [["0", "1"], ["2", "3"]])
    assert LocalEngine().jobs_at_once == 5
    assert LocalEngine(jobs_at_once=3).jobs_at_once == 3
    with pytest.raises(ValueError, match="gpus_per_job=6: this machine shows 5 GPUs"):
        LocalEngine(gpus_per_job=6)
    with pytest.raises(ValueError, match="jobs_at_once=3 with gpus_per_job=2 needs more GPUs than the 5 here"):
        LocalEngine(jobs_at_once=3, gpus_per_job=2)
    with pytest.raises(ValueError, match=r"hydra.launcher.jobs_at_once=0 must be an integer of at least 1"):
        LocalEngine(jobs_at_once=0)
