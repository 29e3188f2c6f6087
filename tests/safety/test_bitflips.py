"""A small part of `python -m benchmarks.bitflips`: no format with a checksum is read with a turned bit."""

import pytest
from benchmarks.bitflips import KINDS, VERDICTS, campaign, is_covered


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.checksum])
def test_a_checksum_that_a_format_has_is_looked_at(name):
    covered = {part: counts for part, counts in campaign(25, seed=1, names=[name]).items() if is_covered(part)}
    for part, counts in covered.items():
        assert set(counts) <= set(VERDICTS), part
        assert not counts["silently wrong"], part
        assert counts["refused"] > 12, part


def test_a_format_without_one_cannot_know():
    (counts,) = campaign(25, seed=1, names=["BMP"]).values()
    assert counts["silently wrong"]
