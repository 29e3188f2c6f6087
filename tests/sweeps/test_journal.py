"""The journal of a study comes back as it was written; what was changed since is named."""

from contextlib import suppress

import pytest
from optuna.distributions import FloatDistribution

from segexp.sweeps.journal import open_journal

SPACE = {"lr": FloatDistribution(1e-4, 1e-2)}


@pytest.fixture
def path(tmp_path):
    study = open_journal(tmp_path / "study.journal", SPACE, {"objectives": ["maximize val.dice"]})
    for value in (0.25, 0.75):
        trial = study.ask(SPACE)
        study.tell(trial, value)
    return tmp_path / "study.journal"


def values(path) -> list[float]:
    study = open_journal(path, SPACE, {"objectives": ["maximize val.dice"]})
    return [trial.value for trial in study.trials]


def test_it_comes_back_also_where_the_last_line_was_cut_off(path):
    with path.open("ab") as file:
        file.write(b'{"op_code":')
    assert values(path) == [0.25, 0.75]


def test_a_changed_line_is_named(path):
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"0.25", b"0.95"))
    with pytest.raises(ValueError, match=r"study.journal: line \d+ was changed or damaged .* take a copy"):
        values(path)


@pytest.mark.parametrize("step", range(0, 90, 9))
def test_a_flipped_bit_is_named_or_changes_nothing(path, step):
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) * step // 90] ^= 2
    path.write_bytes(damaged)
    with suppress(ValueError):
        assert values(path) == [0.25, 0.75]


def test_lines_without_checksums_are_read(path):
    lines = path.read_text().splitlines()
    path.write_text("".join(line.partition(',"crc32"')[0] + "}\n" for line in lines))
    assert values(path) == [0.25, 0.75]
