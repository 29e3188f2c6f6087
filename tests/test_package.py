"""The wheel, installed in an empty folder, trains."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(words, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr + built.stdout
    return next(folder.glob("*.whl"))


def test_wheel_holds_configuration_and_pinned_hashes(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "segexp/conf/train.yaml" in names
    assert "segexp/conf/model/unet_bilinear.yaml" in names
    assert "segexp/data/sources/isbi2012.sha256" in names
    assert {"segexp/conf/hydra/launcher/local.yaml", "hydra_plugins/segexp_sweeps/launcher.py"} <= set(names)
    assert "segexp/comparison/page_assets/page.html" in names
    assert not [name for name in names if name.startswith(("outputs", "tests"))]


def test_installed_wheel_trains_in_an_empty_folder(wheel, tmp_path):
    """The wheel's own files are used: the environment sees this one's dependencies, but not the checkout."""
    home = tmp_path / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    site = next((home / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    outer = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    ours = ("segexp", "hydra_plugins")
    links = [path for path in outer.iterdir() if not path.name.startswith(ours) and path.suffix != ".pth"]
    for path in links:
        (site / path.name).symlink_to(path)
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ["data.source.size=[48,48]", "data.source.count=5", "data.patch_size=[32,32]", "data.patches_per_epoch=8"]
    words += ["model.base_channels=2", "model.depth=1", "trainer=cpu", "trainer.max_epochs=1"]
    code = "import sys, segexp; from segexp.cli import main; assert 'environment' in segexp.__file__; main()"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SEGEXP")}
    done = subprocess.run(
        [python, "-c", code, "train", *words], cwd=empty, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(list(empty.glob("outputs/synthetic-unet_tiny/*/results.json"))) == 1
