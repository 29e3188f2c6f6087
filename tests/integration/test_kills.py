"""A small part of the campaign of `python -m benchmarks.faults kills`: nothing is lost, wrong, or cannot be resumed."""

import pytest

from tests.conftest import ROOT, python


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("kind", "count"), [("single", 6), ("ddp", 3), ("sweep", 3), ("study", 3), ("predict", 3)])
def test_killed_commands_go_on_to_the_same_results(tmp_path, kind, count):
    words = ("--kinds", kind, "--count", str(count), "--folder", str(tmp_path))
    done = python(ROOT, "-m", "benchmarks.faults", "kills", *words, timeout=1700)
    assert done.returncode == 0, done.stderr
    verdicts = [line.partition(": ")[2].partition(",")[0] for line in done.stderr.splitlines() if ": " in line]
    assert verdicts == ["same"] * count, done.stderr
