"""A Ray cluster of one machine: real actors, real processes; each test is a driver of its own."""

import inspect
import json
import os
import signal
import subprocess
import sys

import pytest
import yaml

from segexp.config import config_dir
from segexp.sweeps.ledger import DONE, INTERRUPTED, RUNNING
from segexp.sweeps.ray import RayEngine
from tests.conftest import SMALL
from tests.sweeps.test_remote import ROOT, eventually

ENGINE = """
import sys
from pathlib import Path
from segexp.sweeps.ray import RayEngine
from tests.sweeps.test_remote import eventually, status, tiny_jobs

folder = Path(sys.argv[1])
engine = RayEngine(jobs_at_once=5, stop_seconds=20, cpus_per_job=1)

def first(name, *words):
    (job,) = tiny_jobs(folder / name, 1, *words)
    return job

def end_of(running):
    eventually(lambda: running.poll() is not None)
    return running.poll()

good, bad, dead = first("a", "epochs=2"), first("b", "do=raise"), first("c", "do=die")
slow, deaf = first("d", "seconds=60"), first("e", "seconds=60", "do=hang")
print([end_of(engine.start(job)) for job in (good, bad, dead)], engine.start(good))
running = engine.start(slow)
eventually(lambda: status(slow) == "running")
running.stop()
print(end_of(running), status(slow), running.where.startswith("Ray, "))
running = engine.start(deaf)
eventually(lambda: status(deaf) == "running")
running.kill()
print(end_of(running))
engine.close()
"""


def driver(*words: str, **settings) -> subprocess.Popen:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def test_yaml_and_engine_say_the_same():
    written = yaml.safe_load((config_dir() / "hydra" / "launcher" / "ray.yaml").read_text())
    defaults = {name: p.default for name, p in inspect.signature(RayEngine).parameters.items()}
    assert {key: value for key, value in written.items() if key != "_target_"} == defaults


def test_names_the_extra_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"needs Ray: pip install 'segexp\[ray\]'"):
        RayEngine()


@pytest.mark.slow
def test_jobs_end_as_they_should_and_stop_when_asked(tmp_path):
    out, err = (run := driver("-c", ENGINE, str(tmp_path))).communicate(timeout=200)
    assert run.returncode == 0, err
    assert out.splitlines() == ["[0, 1, -9] None", f"1 {INTERRUPTED} True", "-9"], out + err


@pytest.mark.slow
def test_a_sweep_is_stopped_cleanly_and_goes_on(tmp_path):
    words = ("train", "-m", "hydra/launcher=ray", f"hydra.sweep.dir={tmp_path}", "seed=1,2", "trainer=cpu", *SMALL)
    words = ("-m", "segexp", *words, "trainer.max_epochs=3", "data.sampling.patches_per_epoch=256")
    # as a shell starts it in its background, where Ctrl-C is ignored
    first = driver(*words, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN), start_new_session=True)
    eventually(lambda: first.poll() is not None or list(tmp_path.glob("seed-*/checkpoints/last.ckpt")), 120)
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=100)
    assert first.returncode != 0, out + err
    records = [json.loads(path.read_text())["status"] for path in tmp_path.glob("seed-*/run.json")]
    assert INTERRUPTED in records, out + err
    assert RUNNING not in records
    second = driver(*words)
    out, err = second.communicate(timeout=200)
    assert second.returncode == 0, out + err
    assert [json.loads(path.read_text())["status"] for path in tmp_path.glob("seed-*/run.json")] == [DONE] * 2
    assert all(len((folder / "metrics.csv").read_text().splitlines()) == 4 for folder in tmp_path.glob("seed-*"))
    assert "dashboard" not in out + err
