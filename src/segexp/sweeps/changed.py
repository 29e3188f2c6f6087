"""Jobs of a sweep that were run with other settings, or other code of the user's own, than the same command has now."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from segexp.errors import some
from segexp.importable import config_dirs_among
from segexp.runs.recipe import differing
from segexp.runs.record import Record
from segexp.runs.resumption import ON_MACHINE, lies_in
from segexp.runs.sameness import source_facts
from segexp.sweeps.jobs import Job
from segexp.sweeps.ledger import QUEUED, Ledger

KEEP, AGAIN = "keep", "again"
Composed = Callable[[Sequence[str]], DictConfig]
MACHINE = re.compile(r"\$\{(paths\.|best_precision|oc\.env)")  # what another machine resolves to something else
SHOWN = 3  # jobs, and differences of each, that are named where there are more
REMEDIES = {
    "again": "sweep.changed=again runs them again, in folders beside those",
    "keep": "sweep.changed=keep takes them as they are",
    "name": "sweep.name=<another> begins a sweep of its own",
}


def settle_changed(jobs: Sequence[Job], composed: Composed, choice: str | None, ledger: Ledger) -> list[Job]:
    """Find the jobs that were run with other settings or code, and do with them as ``sweep.changed`` says.

    Args:
        jobs: Jobs of a grid.
        composed: Function that composes a set of overrides.
        choice: "keep" = take them as they are; "again" = run them again; None = refuse them.
        ledger: Ledger of the sweep.

    Returns:
        The jobs; those that are to be run again in folders of their own.

    Raises:
        ValueError: There are such jobs and nothing is said of them; names them, what differs, and the remedies.
    """
    changed = {} if choice == KEEP else _changed(jobs, composed)
    if choice != AGAIN:
        _refuse(changed, len(jobs), REMEDIES.values())
    return [_moved(job, ledger) if job in changed else job for job in jobs]


def refuse_changed(jobs: Sequence[Job], composed: Composed, choice: str | None) -> None:
    """Refuse to go on with a search some of whose runs had other settings or code, unless they are kept.

    Raises:
        ValueError: As `settle_changed`.
    """
    changed = {} if choice == KEEP else _changed(jobs, composed)
    _refuse(changed, len(jobs), (REMEDIES["keep"], REMEDIES["name"]))


def _changed(jobs: Sequence[Job], composed: Composed) -> dict[Job, list[str]]:
    """What differs by job, of those where anything does."""
    found = {job: list(_differences(job, composed)) for job in dict.fromkeys(jobs) if job.files.record_path.is_file()}
    return {job: words for job, words in found.items() if words}


def _refuse(changed: dict[Job, list[str]], count: int, remedies: Iterable[str]) -> None:
    if not changed:
        return
    # Jobs that differ in the same are named together.
    alike: dict[str, list[str]] = {}
    for job, words in changed.items():
        alike.setdefault(some(words, SHOWN), []).append(job.name)
    named = "; ".join(f"{what} ({some(names, SHOWN)})" for what, names in alike.items())
    jobs = f"{len(changed)} of {count} jobs were run with another configuration or own code than the present one"
    raise ValueError(f"{jobs}: {named}: {'; '.join(remedies)}")


def _differences(job: Job, composed: Composed) -> Iterator[str]:
    """What differs between a job's record and the present, in words."""
    record = job.files.record()
    if job.fault or "config" not in record:
        return
    # Of a run that was planned, what the plan chose stands in its record.
    cfg = composed(job.files.overrides() if job.files.plan_path.is_file() else job.overrides)
    yield from _settings(job, record, cfg)
    folders = config_dirs_among(cfg.hydra.runtime.config_sources)
    yield from (f"{fact.name.replace(':', '')} has changed" for fact in source_facts(record, folders) if not fact.same)


def _settings(job: Job, record: Record, cfg: DictConfig) -> Iterator[str]:
    """Settings that differ, each with both values."""
    with open_dict(cfg):
        cfg.paths.run_dir = str(job.folder.absolute())
        if cfg.monitor_mode is None:  # as the metric said of itself
            cfg.monitor_mode = record["config"].get("monitor_mode")
    try:
        written, config = _own(cfg, resolve=False), _own(cfg, resolve=True)
    except OmegaConfBaseException as error:
        yield f"the configuration cannot be resolved now, {str(error).splitlines()[0]}"
        return
    for key, (before, now) in differing(record, config).items():
        if not (lies_in(key, ON_MACHINE) or MACHINE.search(str(_at(written, key)))):
            yield f"{key}={now}, was {before}"


def _own(cfg: DictConfig, resolve: bool) -> Any:
    """The part of a composed configuration that a run records, as plain containers."""
    hydra, before = HydraConfig.instance(), HydraConfig.instance().cfg
    hydra.set_config(cfg)
    try:
        content: Any = OmegaConf.to_container(
            OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in ("hydra", "sweep")]), resolve=resolve
        )
    finally:
        hydra.cfg = before
    return content


def _at(node: Any, key: str) -> Any:
    """Value at a dotted key as it is written; None where there is none."""
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _moved(job: Job, ledger: Ledger) -> Job:
    """The job in a folder that is free, as which the ledger knows it from now on."""
    number = 2
    while (folder := job.folder.with_name(f"{job.name}-{number}")).exists():
        number += 1
    ledger.add(job.id, folder.name, QUEUED, why=f"{job.name} was run with another configuration or own code")
    return replace(job, folder=folder)
