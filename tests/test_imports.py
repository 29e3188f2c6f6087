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


def loaded(script: str, folder: str, overrides: tuple[str, ...] = ()) -> set[str]:
    """Run a script in a fresh interpreter and return the modules that it leaves loaded."""
    tail = "\nimport sys\nprint('MODULES', *sys.modules)"
    code = script.replace("OVERRIDES", repr(list(overrides))) + tail
    env = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("augment", ["none", pytest.param("light", marks=pytest.mark.slow)])
def test_a_plain_training_loads_no_library_that_it_does_not_use(tmp_path, augment):
    modules = loaded(OF_TRAINING, str(tmp_path), ("trainer=cpu", f"augment={augment}"))
    assert "torch" in modules  # or this test looks at nothing
    assert not modules & HEAVY
    assert ("albumentations" in modules) == (augment == "light")


def test_volumes_and_partitions_load_theirs_when_used(tmp_path):
    script = (
        "import numpy as np\nfrom segexp.metrics import thin_borders\nthin_borders(np.eye(4) < 1)\n"
        "from pathlib import Path\nfrom segexp.data.files.volumes import to_ras\n"
        "to_ras(np.ones((2, 2, 2, 1)), np.eye(4), Path('x'))"
    )
    assert {"skimage", "nibabel"} <= loaded(script, str(tmp_path))


def test_the_driver_of_a_sweep_does_not_load_torch(tmp_path):
    modules = loaded(OF_A_DRIVER, str(tmp_path), ("seed=1", "sweep.name=one", *TINY))
    assert (tmp_path / "outputs/one/summary.csv").read_text().count("1 of 1") == 1  # its job has run
    assert not modules & (HEAVY | {"torch", "pytorch_lightning", "albumentations", "scipy", "numpy"})
