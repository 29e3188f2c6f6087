"""MLflow for real: its runs have the names of the jobs of a sweep."""

import json
import subprocess

import pytest

from tests.conftest import SMALL
from tests.environment import environment

QUICK = [*SMALL, "data.sampling.patches_per_epoch=8", "trainer=cpu", "trainer.max_epochs=1"]
READ = """
import json, sys
from mlflow.tracking import MlflowClient

client = MlflowClient(f"sqlite:///{sys.argv[1]}")
runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
print(json.dumps([[run.info.run_name, run.info.status, "z_final/test_dice" in run.data.metrics] for run in runs]))
"""


@pytest.mark.slow
def test_the_runs_of_a_sweep_are_told_apart_by_their_names(tmp_path):
    try:
        python = environment(tmp_path / "venv", "mlflow-skinny")
    except subprocess.CalledProcessError:
        pytest.skip("MLflow cannot be installed here")
    words = ["-m", "segexp", "train", "-m", "logger=mlflow", "optimizer.lr=0.001,0.002", *QUICK]
    subprocess.run([python, *words], cwd=tmp_path, check=True)
    folders = sorted(path.parent.name for path in tmp_path.glob("outputs/sweep*/*/run.json"))
    found = subprocess.run([python, "-c", READ, tmp_path / "outputs" / "mlflow.db"], capture_output=True, check=True)
    assert sorted(json.loads(found.stdout)) == [[name, "FINISHED", True] for name in folders]
