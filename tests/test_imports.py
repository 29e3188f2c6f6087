"""A process loads what it uses: each job of a sweep pays for its imports anew."""

import os
import subprocess
import sys

import pytest

HEAVY = {
    *("optuna", "ray", "submitit", "plotly", "joblib", "matplotlib", "pandas", "monai", "sklearn"),
    *("nibabel", "SimpleITK", "torchio", "nilearn", "skimage", "tensorboard.backend"),
}
OF_TRAINING = """
import importlib
from segexp.config import compose, plain
importlib.import_module("segexp.commands.train")
from segexp.build import build_data, build_task, build_trainer
config = plain(compose(OVERRIDES, run_dir="."))
build_data(config), build_task(config), build_trainer(config)
"""
OF_VOLUMES_AND_PARTITIONS = """
from pathlib import Path
import numpy as np
from segexp.data.files.volumes import to_ras
from segexp.metrics import thin_borders
thin_borders(np.eye(4) < 1)
to_ras(np.ones((2, 2, 2, 1)), np.eye(4), Path("x"))
"""
OF_A_DRIVER = """
import sys
from segexp.cli import main
sys.argv = ["segexp", "train", "-m", *OVERRIDES]
main()
"""
TINY = (
    *(
        "data.source.size=[48,48]",
        "data.source.count=5",
        "data.sampling.patch_size=[32,32]",
        "data.sampling.patches_per_epoch=8",
    ),
    *("data.sampling.batch_size=4", "model.base_channels=4", "model.depth=2", "trainer=cpu", "trainer.max_epochs=1"),
)


def loaded(folder: str, *scripts: str, overrides: tuple[str, ...] = ()) -> list[set[str]]:
    """Run scripts one after the other in a fresh interpreter and return the modules that are loaded after each."""
    tail = "\nimport sys\nprint('MODULES', *sys.modules)\n"
    code = "".join(script.replace("OVERRIDES", repr(list(overrides))) + tail for script in scripts)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [set(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith("MODULES")]


@pytest.mark.slow
@pytest.mark.parametrize("augment", ["none", "light"])
def test_a_plain_training_loads_no_library_that_it_does_not_use(tmp_path, augment):
    overrides = ("trainer=cpu", f"augment={augment}")
    modules, later = loaded(str(tmp_path), OF_TRAINING, OF_VOLUMES_AND_PARTITIONS, overrides=overrides)
    assert "torch" in modules  # or this test looks at nothing
    assert not modules & HEAVY
    assert ("albumentations" in modules) == (augment == "light")
    assert {"skimage", "nibabel"} <= later


@pytest.mark.slow
def test_the_driver_of_a_sweep_does_not_load_torch(tmp_path):
    (modules,) = loaded(str(tmp_path), OF_A_DRIVER, overrides=("seed=1", "sweep.name=one", *TINY))
    assert (tmp_path / "outputs/one/summary.csv").read_text().count("1 of 1") == 1  # its job has run
    assert not modules & (HEAVY | {"torch", "pytorch_lightning", "albumentations", "scipy", "numpy"})
