"""Environments for packages that the suite does not need otherwise."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.conftest import ROOT


def environment(folder: Path, *packages: str) -> Path:
    """Make an environment that has the packages of this one and further ones of the pinned set; return its Python.

    Raises:
        subprocess.CalledProcessError: They cannot be installed.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/*/site-packages")
    (site / "parent.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT / 'src'}\n")
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "-c", ROOT / "constraints.txt"]
    subprocess.run([*pip, *packages], check=True)
    return python
