"""Executes docs/notebooks/first_hour.ipynb in a kernel; ``make notebook`` stores what it shows.

Kernel and plots have an environment of their own, made for the occasion from the pinned set: where matplotlib is
installed, torchmetrics imports it at every start.
"""

import subprocess
import tempfile
from pathlib import Path

from tests.conftest import ROOT
from tests.environment import environment

PATH = ROOT / "docs" / "notebooks" / "first_hour.ipynb"
NEEDED = ("nbclient", "ipykernel", "matplotlib")
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

source, target, folder = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
NotebookClient(notebook, timeout=1000, record_timing=False, resources={"metadata": {"path": folder}}).execute()
notebook.metadata["language_info"] = {"name": "python"}  # not the version of this Python
nbformat.write(notebook, target)
"""


def execute(python: Path, target: Path, folder: Path) -> None:
    """Run all cells in a folder and write the notebook with what they show; what a cell raises is told."""
    subprocess.run([python, "-c", EXECUTE, PATH, target, folder], check=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        execute(environment(Path(place) / "venv", *NEEDED), PATH, Path(place))
