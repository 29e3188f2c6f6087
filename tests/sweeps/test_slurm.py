"""SLURM through submitit's local mode: real submissions, real signals, real processes."""

import csv
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from segexp.config import compose, config_dir, plain
from segexp.sweeps.jobs import Job
from segexp.sweeps.ledger import DONE, INTERRUPTED, RUNNING
from segexp.sweeps.slurm import SlurmEngine
from tests.conftest import SMALL
from tests.sweeps.test_remote import ROOT, eventually, status, tiny_jobs


@pytest.fixture(autouse=True)
def _from_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)  # tasks import this package, too


def local_engine(**settings) -> SlurmEngine:
    return SlurmEngine(cluster="local", gpus_per_node=0, stop_seconds=20, **settings)


def controller(running) -> int:
    return int(running.where.rpartition(" ")[2])


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def end_of(running, seconds: float = 120) -> int:
    eventually(lambda: running.poll() is not None, seconds)
    return running.poll()


def epochs(folder: Path) -> list[int]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def test_yaml_and_engine_say_the_same():
    written = yaml.safe_load((config_dir() / "hydra" / "launcher" / "slurm.yaml").read_text())
    defaults = {name: p.default for name, p in inspect.signature(SlurmEngine).parameters.items()}
    assert {key: value or None for key, value in written.items() if key != "_target_"} == defaults


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "this machine has no sbatch and srun; .* try it out here with hydra.launcher.cluster=local"),
        ({"cluster": "locl"}, "did you mean 'local'"),
        ({"cluster": "local", "nodes": 2}, "one machine is one node"),
        ({"cluster": "local", "tasks_per_node": 0}, "hydra.launcher.tasks_per_node=0 must be an integer"),
    ],
)
def test_refuses_what_cannot_work(settings, said, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ValueError, match=said):
        SlurmEngine(**settings)


def test_refuses_a_trainer_that_waits_for_tasks_which_nobody_starts(tmp_path):
    with pytest.raises(ValueError, match="give hydra.launcher.tasks_per_node=<GPUs per machine>"):
        local_engine().start(Job(("trainer=slurm_ddp",), tmp_path / "job"))


def test_names_the_extra_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ValueError, match=r"needs submitit: pip install 'segexp\[slurm\]'"):
        SlurmEngine(cluster="local")


def test_jobs_end_as_they_should(tmp_path):
    good, bad, dead = (
        tiny_jobs(tmp_path / name, 1, word)[0] for name, word in (("a", "epochs=2"), ("b", "do=raise"), ("c", "do=die"))
    )
    engine = local_engine()
    running = [engine.start(job) for job in (good, bad, dead)]
    assert [end_of(one) for one in running] == [0, 1, -signal.SIGKILL]
    assert status(good) == DONE
    assert engine.start(good) is None


def test_stop_reaches_the_process_and_its_end_is_waited_for(tmp_path):
    (job,) = tiny_jobs(tmp_path, 1, "seconds=0.5", "epochs=200")
    running = local_engine().start(job)
    eventually(lambda: status(job) == RUNNING)
    running.stop()
    assert end_of(running) == 1
    assert status(job) == INTERRUPTED


@pytest.mark.slow
def test_kill_ends_a_process_that_does_not_heed(tmp_path):
    (job,) = tiny_jobs(tmp_path, 1, "seconds=60", "do=hang")
    running = local_engine().start(job)
    eventually(lambda: status(job) == RUNNING)
    running.kill()
    assert end_of(running) == -signal.SIGKILL


def test_a_task_that_dies_is_told_in_the_log(tmp_path):
    (job,) = tiny_jobs(tmp_path, 1, "seconds=60")
    running = local_engine().start(job)
    eventually(lambda: status(job) == RUNNING)
    os.kill(children(controller(running))[0], signal.SIGKILL)
    time.sleep(2)
    assert running.poll() is None  # the process lives on and holds the lock
    os.kill(job.files.record()["pid"], signal.SIGKILL)
    assert end_of(running) == 1
    assert "ended with no result, see " in (job.folder / "log.txt").read_text()


@pytest.mark.slow
def test_a_preempted_training_goes_on_in_the_same_folder(tmp_path):
    words = (*SMALL, "trainer=cpu", "trainer.max_epochs=4", "data.sampling.patches_per_epoch=256", "seed=1")
    job = Job(words, tmp_path / "job")
    running = local_engine().start(job)
    eventually(lambda: (job.folder / "metrics.csv").is_file() and len(epochs(job.folder)) > 0)
    os.kill(children(controller(running))[0], signal.SIGUSR2)  # what SLURM sends before it takes the machine away
    eventually(lambda: status(job) == INTERRUPTED)
    assert end_of(running) == 0
    assert status(job) == DONE
    assert epochs(job.folder) == list(range(4))
    assert (job.folder / "log.txt").read_text().count("audit:") == 2  # two processes


@pytest.mark.slow
def test_two_tasks_train_one_job_as_under_srun(tmp_path):
    words = ["trainer=slurm_ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=1", *SMALL]
    spy = ["+callbacks.spy._target_=tests.integration.spy.RankNotes", "+callbacks.spy.folder=${paths.run_dir}"]
    launcher = ["hydra/launcher=slurm", "hydra.launcher.cluster=local", "hydra.launcher.tasks_per_node=2"]
    command = [sys.executable, "train.py", "-m", *launcher, f"hydra.sweep.dir={tmp_path}", "optimizer.lr=0.001"]
    env = os.environ | {"PYTHONPATH": str(ROOT), "HYDRA_FULL_ERROR": "1"}
    done = subprocess.run(
        [*command, *words, *spy, "model.norm=group"],
        capture_output=True,
        text=True,
        timeout=250,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = [path.parent for path in tmp_path.glob("*/run.json")]
    assert [(folder / f"rank{rank}.txt").read_text() for rank in (0, 1)] == ["0.001 2"] * 2
    assert json.loads((folder / "run.json").read_text())["status"] == DONE
    assert (folder / "log-rank1.txt").is_file()
    assert len(list(folder.glob("events.out.tfevents.*.0"))) == 1
    lines = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert [line["state"] for line in lines] == ["queued", RUNNING, DONE]
    assert lines[1]["where"].startswith("submitit, process")


def test_slurm_ddp_leaves_requeueing_to_submitit(monkeypatch):
    from pytorch_lightning.utilities import rank_zero_only

    from segexp.build import build_trainer

    settings = {"NTASKS": "2", "NTASKS_PER_NODE": "2", "PROCID": "1", "LOCALID": "1", "NODEID": "0", "JOB_ID": "7"}
    for name, value in settings.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    words = ["trainer=slurm_ddp", "trainer.accelerator=cpu", "trainer.devices=2", "callbacks.progress.enabled=false"]
    monkeypatch.setattr(rank_zero_only, "rank", 0)  # a trainer sets it for the whole process
    trainer = build_trainer(plain(compose([*words, "name=test"], run_dir="unused")))
    environment = trainer._accelerator_connector.cluster_environment
    assert type(environment).__name__ == "SLURMEnvironment"
    assert environment.auto_requeue is False
    assert (trainer.world_size, trainer.global_rank) == (2, 1)
