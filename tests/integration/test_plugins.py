"""Plugins of Hydra installed beside segexp: ours work as before, theirs run the jobs of a grid."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMALL, only, python, table

PLUGINS = ["hydra-optuna-sweeper", "hydra-ray-launcher", "hydra-submitit-launcher", "hydra-joblib-launcher"]
QUICK = [*SMALL, "data.sampling.patches_per_epoch=8", "model.depth=1", "trainer=cpu", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def plugins(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *PLUGINS]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"plugins cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return folder


def sweep(folder: Path, plugins: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT, plugins)))
    return python(folder, ROOT / "train.py", "-m", *words, *QUICK, PYTHONPATH=path, RAY_worker_niceness="0")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray", "local"])
def test_a_launcher_runs_the_grid_and_it_is_summed_up(tmp_path, plugins, launcher):
    done = sweep(tmp_path, plugins, f"hydra/launcher={launcher}", "optimizer.lr=0.001,-1")
    assert done.returncode == 1, done.stderr
    assert "1 of 2 jobs failed" in done.stderr
    assert "validated against ConfigStore schema" not in done.stderr
    rows = table(only(tmp_path / "outputs", "sweep*/summary.csv"))
    assert [row["runs"] for row in rows] == ["1 of 1", "0 of 1"]


@pytest.mark.slow
def test_the_search_is_ours(tmp_path, plugins):
    pytest.importorskip("optuna")
    words = ["hydra/sweeper=optuna", "hydra.sweeper.trials=1", "optimizer.lr=interval(0.001,0.002)"]
    done = sweep(tmp_path, plugins, *words)
    assert done.returncode == 0, done.stderr
    assert len(table(only(tmp_path / "outputs", "sweep*/study.csv"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["hydra/launcher=submitit_slurm"], "srun"),
        (["hydra/launcher=joblib", "hydra/sweeper=optuna"], "only segexp's own launchers can prune and resume"),
    ],
)
def test_what_cannot_run_here_is_one_sentence(tmp_path, plugins, words, sentence):
    done = sweep(tmp_path, plugins, *words, "optimizer.lr=0.001,0.002")
    assert done.returncode == 1
    (said,) = done.stderr.strip().splitlines()
    assert sentence in said
