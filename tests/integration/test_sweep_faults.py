"""Twenty-four jobs, three with planted faults, whose driver is killed twice: every good job is done exactly once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segexp.sweeps.ledger import Ledger
from tests.conftest import ROOT, only, python
from tests.integration.test_sweep import QUICK

FAULTS = [
    "+callbacks.faults._target_=tests.integration.spy.Faults",
    "+callbacks.faults.run='${optimizer.lr} ${seed}'",
    "+callbacks.faults.raises='0.001 3'",
    "+callbacks.faults.diverges='0.002 5'",
    "+callbacks.faults.killed='0.003 7'",
]
RATES, SEEDS = ("0.001", "0.002", "0.003"), range(1, 9)
GRID = [f"optimizer.lr={','.join(RATES)}", f"seed={','.join(map(str, SEEDS))}"]
COMMON = [*QUICK, "trainer.max_epochs=2", *FAULTS]
LAUNCHER = ["hydra.launcher.jobs_at_once=2", "hydra.launcher.threads_per_job=1"]
ALONE = """
import sys
from pathlib import Path
from segexp.commands.train import train
from segexp.config import compose
for word in sys.argv[1].split(";"):
    folder = Path(word.replace(" ", "_"))
    rate, seed = word.split()
    train(compose([*sys.argv[2:], f"optimizer.lr={rate}", f"seed={seed}"], run_dir=folder))
"""


def driver(folder: Path) -> subprocess.Popen:
    words = [sys.executable, str(ROOT / "train.py"), "-m", *GRID, *COMMON, *LAUNCHER, "sweep.name=s"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)


def figures(folder: Path) -> dict:
    results = json.loads((folder / "results.json").read_text())
    return {side: results[side] for side in ("val", "test")}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_good_job_is_done_once_with_the_figures_of_a_run_alone(tmp_path):
    ledger = Ledger(tmp_path / "outputs" / "s" / "ledger.jsonl")
    for ended_jobs in (5, 14):
        process = driver(tmp_path)
        while sum(entry.state in ("done", "failed") for entry in ledger.entries().values()) < ended_jobs:
            assert process.poll() is None
            time.sleep(0.1)
        process.kill()
        process.communicate()
    last = driver(tmp_path)
    _, told = last.communicate()
    assert last.returncode == 1
    assert b"3 of 24 jobs failed" in told
    entries = {entry.name: entry for entry in ledger.entries().values()}
    assert sorted(entry.state for entry in entries.values()) == ["done"] * 21 + ["failed"] * 3
    assert all(entry.starts == 1 for entry in entries.values())
    reasons = sorted(entry.why for entry in entries.values() if entry.state == "failed")
    assert [reason.split()[0] for reason in reasons] == ["RuntimeError:", "ValueError:", "killed"]

    good = [f"{rate} {seed}" for rate in RATES for seed in SEEDS]
    good = [word for word in good if not any(f"'{word}'" in fault for fault in FAULTS)]
    alone = python(tmp_path, "-c", ALONE, ";".join(good), *COMMON, timeout=900)
    assert alone.returncode == 0, alone.stderr
    for word in good:
        rate, seed = word.split()
        job = only(tmp_path / "outputs" / "s", f"lr-{rate}__seed-{seed}__*")
        assert figures(job) == figures(tmp_path / word.replace(" ", "_"))
