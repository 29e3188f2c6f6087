"""Sweeps through the real command line: several processes per job, faults, replicates."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMALL, only, python, table

QUICK = [*SMALL, "data.sampling.patches_per_epoch=8", "model.depth=1", "trainer=cpu", "trainer.max_epochs=1"]


def sweep(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return python(folder, ROOT / "train.py", *words)


def ledger(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_several_processes_in_a_sweep_share_one_folder_and_one_setting(tmp_path):
    spy = ["+callbacks.spy._target_=tests.integration.spy.RankNotes", "+callbacks.spy.folder=${paths.run_dir}"]
    done = sweep(
        tmp_path, "-m", "optimizer.lr=0.001,0.002", "loss=ce", "model.norm=group", *QUICK, *spy, "trainer=ddp_cpu"
    )
    assert done.returncode == 0, done.stderr
    folder = only(tmp_path / "outputs", "sweep*")
    jobs = sorted(path for path in folder.iterdir() if path.is_dir())
    assert [path.name.rpartition("__")[0] for path in jobs] == ["lr-0.001", "lr-0.002"]
    for job, rate in zip(jobs, (0.001, 0.002), strict=True):
        assert [(job / f"rank{rank}.txt").read_text() for rank in (0, 1)] == [f"{rate} 2"] * 2
        assert json.loads((job / "run.json").read_text())["status"] == "done"
        assert len(list(job.glob("events.out.tfevents.*.0"))) == 1
        cases = [row["case"] for row in table(job / "cases.csv") if row["class"] == "membrane"]
        assert len(cases) == len(set(cases)) == 6  # each once, though two processes scored


@pytest.mark.slow
def test_seeds_are_gathered_and_failures_told(tmp_path):
    words = ["-m", "sweep=seeds", "sweep.seeds=[1,2]", "optimizer=sgd", "optimizer.lr=0.001,1e30", *QUICK]
    done = sweep(tmp_path, *words)
    assert done.returncode == 1
    assert "segexp train: 2 of 4 jobs failed; the same command with sweep.retry=failed runs them again" in done.stderr
    assert "training diverged" in done.stderr
    assert "lower optimizer.lr" in done.stderr
    assert "log.txt" in done.stderr
    folder = only(tmp_path / "outputs", "sweep*")
    good, bad = table(folder / "summary.csv")
    assert (good["optimizer.lr"], good["runs"], bad["runs"]) == ("0.001", "2 of 2", "0 of 2")
    scores = [json.loads(path.read_text())["test"]["dice"] for path in folder.glob("lr-0.001*/results.json")]
    assert float(good["mean"]) == pytest.approx(sum(scores) / 2)

    again = sweep(tmp_path, *words)
    assert again.returncode == 1
    assert [line["state"] for line in ledger(folder)].count("running") == 4  # nothing was run twice
