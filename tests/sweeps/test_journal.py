"""The journal of a study comes back as it was written; what was changed since is named."""

import json
from contextlib import suppress
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

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


def without_checksums(path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "crc32"} for line in lines]


def rewrite(path, lines) -> None:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_lines_without_checksums_are_read(path):
    rewrite(path, without_checksums(path))
    assert values(path) == [0.25, 0.75]


@pytest.mark.parametrize("value", [None, "x" * 1000, -1, 10**30, [], {"a": []}, 1e308])
def test_lines_that_somebody_else_has_written_are_read_or_named(path, value):
    """Each value of each line in turn is another one."""
    whole = without_checksums(path)
    for number, line in enumerate(whole):
        for key in line:
            rewrite(path, [*whole[:number], line | {key: value}, *whole[number + 1 :]])
            with suppress(ValueError):
                assert all(isinstance(found, float | None) for found in values(path))


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"runs": ["../../elsewhere"]}, "names runs that are no folders of the sweep"),
        ({"runs": "abc"}, "names runs that are no folders of the sweep"),
        ({"why": ["a"]}, "facts of other types"),
        ({"retry_of": []}, "facts of other types"),
    ],
)
def test_facts_of_a_trial_that_lie_are_named(path, facts, named):
    study = open_journal(path, SPACE, {})
    trial = study.ask(SPACE)
    for key, value in facts.items():
        trial.set_user_attr(key, value)
    with pytest.raises(ValueError, match=f"study.journal is no journal of this study .*{named}"):
        values(path)


def test_a_key_that_is_not_searched_is_named(path):
    open_journal(path, SPACE, {}).ask({"hydra.run.dir": CategoricalDistribution(["/elsewhere"])})
    with pytest.raises(ValueError, match=r"trial 2 has hydra\.run\.dir, which is not searched"):
        values(path)
