"""The commands of the first hours are as many as told, and run one after the other in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from segexp.cli import COMMANDS
from tests.conftest import ROOT

FOLDER = ROOT / "docs" / "first_hour"
PAGES = sorted(FOLDER.glob("*.md"))
NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def commands(page: Path) -> list[list[str]]:
    """Words of each command of a page."""
    (block,) = re.findall(r"^```bash\n(.*?)^```$", page.read_text(), re.S | re.M)
    return [shlex.split(line) for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_number_of_commands_is_told(page):
    listed = commands(page)
    assert all(words[0] == "segexp" and words[1] in COMMANDS for words in listed)
    assert f"\n{NUMBERS[len(listed)]} commands, on" in page.read_text()


def run(words: list[str | Path], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEGEXP_")}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (words, done.stdout[-1000:], done.stderr[-1000:])


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_run(page, tmp_path):
    run([FOLDER / "make_data.py"], tmp_path)
    for _, *words in commands(page):
        run(["-m", "segexp", *words], tmp_path)
    assert len(list(tmp_path.rglob("results.json"))) >= 2
