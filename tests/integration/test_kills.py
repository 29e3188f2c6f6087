"""A small part of the campaign of `python -m benchmarks.faults kills`: nothing is lost, wrong, or cannot be resumed."""

import argparse

import pytest
from benchmarks.faults import kills

from tests.integration.test_disk import may_mount


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("world", "kind", "count"),
    [
        *(("plain", "single", 3), ("plain", "ddp", 2), ("plain", "sweep", 2), ("plain", "study", 2)),
        *(("plain", "predict", 3), ("nfs", "single", 3), ("full", "single", 3)),
    ],
)
def test_killed_commands_go_on_to_the_same_results(tmp_path, world, kind, count):
    if world == "full" and not may_mount(tmp_path):
        pytest.skip("needs the right to mount a disk")
    given = {"world": world, "kinds": [kind], "count": count, "folder": tmp_path, "tmpdir": None, "keep": None}
    counts = kills.campaign(argparse.Namespace(**given, minutes=30, seed=1))
    assert {verdict for count in counts.values() for verdict in count.found} == {"same"}
    assert sum(count.found.total() for count in counts.values()) == count
