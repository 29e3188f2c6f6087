"""What tests of whole commands share: the overrides of a tiny run, the run itself, the command line, image files."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segexp.cli import main
from segexp.commands.train import train
from segexp.config import compose

ROOT = Path(__file__).parents[1]
FEW_EPOCHS = "trainer.max_epochs=3"
NO_PANELS, PANELS = "callbacks.panels.enabled=false", "callbacks.panels.enabled=true"
TINY = [  # a small network on few small patches
    "data.sampling.patch_size=[32,32]",
    "data.sampling.patches_per_epoch=16",
    "data.sampling.batch_size=4",
    "model.base_channels=4",
    "model.depth=2",
    "trainer.precision=32-true",
    FEW_EPOCHS,
]
SMALL = [  # a run that takes a second: TINY on nine small cases
    "data.source.size=[48,48]",
    "data.source.count=9",
    "data.split.val=3-5",
    "data.split.test=6-8",
    *TINY,
    "page=false",
    NO_PANELS,
]
HERE = ["name=test", "trainer=cpu", "callbacks.progress.enabled=false"]  # of a training in this process


def trained(folder: Path, *overrides: str) -> Path:
    """Train in this process, on SMALL unless the overrides say otherwise; return the folder of the run."""
    by_minutes = any(word.startswith("minutes=") for word in overrides)
    small = [word for word in SMALL if not (by_minutes and word == FEW_EPOCHS)]
    train(compose([*small, *HERE, *overrides], run_dir=folder))
    return folder


def python(
    folder: Path, *words: str | Path, timeout: float = 280, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with one thread, in a folder."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"} | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def only(folder: Path, pattern: str) -> Path:
    """The one path that matches."""
    (found,) = folder.glob(pattern)
    return found


def write_pairs(folder: Path, count: int, height: int = 48, width: int = 48) -> Path:
    """Write images of noise and masks of 0 and 255 as images/scan_0.png and masks/scan_0.png, and so on."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for index in range(count):
        pixels = rng.integers(0, 255, (height, width), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"scan_{index}.png")
        mask = np.zeros((height, width), np.uint8)
        left = 5 + index % max(1, width - 25)  # no two images have one mask
        mask[5:25, left : left + 20] = 255
        Image.fromarray(mask).save(folder / "masks" / f"scan_{index}.png")
    return folder


@pytest.fixture
def umask() -> Iterator[int]:
    """A mask of modes that no file of a temporary folder would have by itself: 0640 remains."""
    kept = os.umask(0o027)
    yield 0o027
    os.umask(kept)


def modes(folder: Path) -> dict[str, int]:
    """Modes of the files in a folder, by name."""
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.fixture
def answer(monkeypatch, capsys, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process in an empty folder; return its exit status and what it printed."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["segexp", *words])
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.chdir(tmp_path)
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def sentence(answer: Callable[..., tuple[int, str, str]], *words: str) -> str:
    """The last line that a training which must fail prints; it is no traceback."""
    status, _, error = answer("train", *words)
    assert status == 1, error
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """Of a copy of the checkout in which the user has settings of the machine."""
    folder, checkout = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("checkout")
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "local"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    (checkout / "conf" / "local").mkdir()
    (checkout / "conf" / "local" / "default.yaml").write_text("# @package _global_\nseed: 7\n")
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(checkout)]
    built = subprocess.run(words, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr + built.stdout
    return next(folder.glob("*.whl"))
