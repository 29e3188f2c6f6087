import json
import subprocess
import sys

import pytest

from segexp.commands.compare import compare
from tests.comparison.test_comparison import two  # noqa: F401
from tests.conftest import modes


def test_the_command_prints_and_writes(two, tmp_path, capsys):  # noqa: F811
    compare([str(two), "--where", "loss=='ce' or seed==1", "--metric", "dice"])
    assert "does better than" in capsys.readouterr().out.replace("\n", " ")
    compare([f"{two}/x", f"{two}/y", "--format", "json", "--output", str(tmp_path / "new" / "c.json")])
    content = json.loads((tmp_path / "new" / "c.json").read_text())
    assert [item["name"] for item in content["experiments"]] == ["ce", "dice"]


def test_pages_have_the_mode_that_umask_gives(two, tmp_path, umask):  # noqa: F811
    folder = tmp_path / "new"
    words = [f"{two}/x", f"{two}/y", "--metric", "dice", "--html", str(folder / "page.html")]
    compare([*words, "--format", "csv", "--output", str(folder / "c.csv")])
    assert modes(folder) == {"page.html": 0o640, "c.csv": 0o640}


def test_what_cannot_be_compared_is_told(two, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match="leaves none of the runs"):
        compare([str(two), "--where", "dice > 5"])
    command = [sys.executable, "-m", "segexp", "compare", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("segexp compare: ")
    assert "no run there" in done.stderr
    assert "Traceback" not in done.stderr
