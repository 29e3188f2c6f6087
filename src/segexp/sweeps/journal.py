"""The journal of a study: a file that outlives its drivers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from segexp.sweeps.space import Space


def open_journal(path: Path, space: Space, facts: Mapping[str, Any], **settings: Any) -> optuna.Study:
    """Open a study, or start it; the caller is its only driver.

    Args:
        path: Path to the journal.
        space: Distribution by key.
        facts: Facts that distinguish this study from others, in plain values.
        settings: Further arguments of `optuna.create_study`.

    Raises:
        ValueError: The journal belongs to another study.
    """
    # A killed driver leaves the lock that Optuna holds while it writes, and maybe half a line at the end.
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if path.is_file():
        content = path.read_bytes()
        with path.open("ab") as file:
            file.truncate(content.rfind(b"\n") + 1)
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(study_name="study", storage=storage, load_if_exists=True, **settings)
    for fact, value in facts.items():
        if fact not in study.user_attrs:
            study.set_user_attr(fact, value)
        elif study.user_attrs[fact] != value:
            raise ValueError(
                f"{path.parent} holds a study with {fact} {study.user_attrs[fact]}, not {value}: "
                "give this one another sweep.name"
            )
    _refuse_other_choices(path, study, space)
    return study


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
