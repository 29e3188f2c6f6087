"""The journal of a study: a file that outlives its drivers."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from segexp.crc import crc_of_plain
from segexp.sweeps.space import Space

CHECKSUM = "crc32"  # key of a line


def open_journal(path: Path, space: Space, facts: Mapping[str, Any], **settings: Any) -> optuna.Study:
    """Open a study, or start it; the caller is its only driver.

    Args:
        path: Path to the journal.
        space: Distribution by key.
        facts: Facts that distinguish this study from others, in plain values.
        settings: Further arguments of `optuna.create_study`.

    Raises:
        ValueError: The journal belongs to another study, is damaged, or was not written by segexp.
    """
    _repair(path)
    with _named(path):
        storage = JournalStorage(_CheckedFile(str(path), lock_obj=_NoLock(str(path))))
        study = optuna.create_study(study_name="study", storage=storage, load_if_exists=True, **settings)
        known = study.user_attrs
    for fact, value in facts.items():
        if known.get(fact, value) != value:
            raise ValueError(
                f"{path.parent} holds a study with {fact} {known[fact]}, not {value}: give this one another sweep.name"
            )
    with _named(path):
        _require_own(study, space)
    for fact, value in facts.items():
        if fact not in known:
            study.set_user_attr(fact, value)
    _refuse_other_choices(path, study, space)
    return study


class _NoLock(JournalFileOpenLock):
    """The driver holds the folder of the study. Optuna's own locks are files, which a killed driver would leave."""

    def acquire(self) -> bool:
        """Do nothing."""
        return True

    def release(self) -> None:
        """Do nothing."""


class _CheckedFile(JournalFileBackend):
    """A journal whose lines hold their CRC-32."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines."""
        super().append_logs([log | {CHECKSUM: _crc(log)} for log in logs])


def _crc(log: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(log))
    return crc_of_plain(as_read)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in errors of any kind: Optuna trusts what it reads."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path} is no journal of this study as segexp wrote it ({type(error).__name__}: {str(error)[:200]}): "
            "give the study another sweep.name"
        ) from error


def _require_own(study: optuna.Study, space: Space) -> None:
    """Refuse trials that no driver of ours has noted: of other keys, or with values and facts of other types.

    Raises:
        ValueError: There is such a trial.
    """
    for trial in study.get_trials(deepcopy=False):
        foreign = set(trial.params) - set(space)
        if foreign:
            raise ValueError(f"trial {trial.number} has {min(foreign)}, which is not searched")
        values = trial.values
        if values is not None and (len(values) != len(study.directions) or not all(map(_is_number, values))):
            raise ValueError(f"trial {trial.number} has values that are none of its objectives")
        if not all(map(_is_number, trial.intermediate_values.values())):
            raise ValueError(f"trial {trial.number} has a curve that is none")
        facts = trial.user_attrs
        runs = facts.get("runs", [])
        if not isinstance(runs, list) or not all(isinstance(run, str) and _is_name(run) for run in runs):
            raise ValueError(f"trial {trial.number} names runs that are no folders of the sweep")
        if not isinstance(facts.get("why", ""), str) or not isinstance(facts.get("retry_of", 0), int):
            raise ValueError(f"trial {trial.number} has facts of other types")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _is_name(text: str) -> bool:
    return text not in ("", ".", "..") and "/" not in text and "\0" not in text


def _refuse_other_choices(path: Path, study: optuna.Study, space: Space) -> None:
    """Bounds may have been moved, choices may not."""
    for trial in study.get_trials(deepcopy=False):
        for key, values in trial.distributions.items():
            try:
                check_distribution_compatibility(values, space[key])
            except ValueError as error:
                raise ValueError(
                    f"{path.parent} holds a study with other choices of {key}, which Optuna cannot change: "
                    "give this one another sweep.name"
                ) from error


def _repair(path: Path) -> None:
    """Remove half a line at the end, which a killed driver has left.

    Raises:
        ValueError: Another line is not what was written; names file and number.
    """
    if not path.is_file():
        return
    content = path.read_bytes()
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        if not _is_whole(line):
            raise ValueError(
                f"{path}: line {number} was changed or damaged since segexp wrote it: take a copy of the file, or give "
                "the study another sweep.name"
            )
    with path.open("ab") as file:
        file.truncate(content.rfind(b"\n") + 1)


def _is_whole(line: bytes) -> bool:
    try:
        log = json.loads(line)
    except (ValueError, RecursionError):
        return False
    # A line of an earlier version has no checksum.
    return isinstance(log, dict) and log.pop(CHECKSUM, None) in (None, _crc(log))
