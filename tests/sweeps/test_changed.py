import json

import pytest
from omegaconf import OmegaConf

import segexp
from segexp.config import plain
from segexp.sweeps.changed import AGAIN, KEEP, refuse_changed, settle_changed
from segexp.sweeps.jobs import Job, digest
from segexp.sweeps.ledger import DONE, QUEUED, Ledger
from segexp.sweeps.pool import verdict
from tests.sweeps.test_launcher import composed

JOBS = (("optimizer.lr=0.1",), ("optimizer.lr=0.2",))


@pytest.fixture(scope="module")
def configurations(tmp_path_factory):
    """Composed configuration by overrides; composing takes a while."""
    return {words: composed(tmp_path_factory.mktemp("sweep"), *words) for words in JOBS}


@pytest.fixture
def sweep(tmp_path, configurations, monkeypatch):
    """Two jobs that are done, as the ledger and their run.json say; the metric settled the mode of each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_loss.py").write_text("a = 1\n")
    ledger, jobs = Ledger(tmp_path / "ledger.jsonl"), []
    for words, cfg in configurations.items():
        job = Job(words, tmp_path / f"job__{digest(words)}")
        job.folder.mkdir()
        cfg = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
        cfg.merge_with(
            {"name": "x", "monitor_mode": "max", "paths": {"run_dir": str(job.folder), "data_dir": "/elsewhere"}}
        )
        cfg.trainer.precision = "16-mixed"  # of the machine that it ran on
        record = {"status": "done", "why": "", "segexp_version": segexp.__version__, "config": plain(cfg)}
        job.files.record_path.write_text(json.dumps(record | {"sources": {}}))
        ledger.add(job.id, job.name, DONE)
        jobs.append(job)
    return jobs, ledger


def change(job: Job, **facts) -> None:
    record = job.files.record()
    record["config"]["model"] |= facts.pop("model", {})
    job.files.record_path.write_text(json.dumps(record | facts))


def test_another_machine_and_another_place_change_nothing(sweep, configurations):
    jobs, ledger = sweep
    assert settle_changed(jobs, lambda words: configurations[words].copy(), None, ledger) == jobs


def test_what_has_changed_is_told_with_the_remedies(sweep, configurations):
    jobs, ledger = sweep
    for job in jobs:
        change(job, model={"base_channels": 1}, sources={"own_loss": "0" * 64})
    with pytest.raises(ValueError, match="^2 of 2 jobs were run with another configuration or own code") as error:
        settle_changed(jobs, lambda words: configurations[words].copy(), None, ledger)
    said = str(error.value)
    now = configurations[JOBS[0]].model.base_channels
    assert f": model.base_channels={now}, was 1, module own_loss has changed ({jobs[0].name}, {jobs[1].name}): " in said
    assert said.count("sweep.") == 3
    for choice in (None, AGAIN):  # a search has learned from its runs
        with pytest.raises(ValueError, match="sweep.changed=keep takes them as they are; sweep.name="):
            refuse_changed(jobs, lambda words: configurations[words].copy(), choice)


def test_kept_jobs_stay(sweep, configurations):
    jobs, ledger = sweep
    change(jobs[0], model={"depth": 9})
    assert settle_changed(jobs, lambda words: configurations[words].copy(), KEEP, ledger) == jobs
    refuse_changed(jobs, lambda words: configurations[words].copy(), KEEP)


def test_a_changed_job_is_run_again_beside_the_folder_that_it_had(sweep, configurations):
    jobs, ledger = sweep
    change(jobs[0], model={"depth": 9})
    jobs[0].folder.with_name(f"{jobs[0].name}-2").mkdir()
    moved, kept = settle_changed(jobs, lambda words: configurations[words].copy(), AGAIN, ledger)
    assert kept == jobs[1]
    assert (moved.id, moved.name) == (jobs[0].id, f"{jobs[0].name}-3")
    entry = ledger.entries()[moved.id]
    assert (entry.name, entry.state, verdict(moved, entry)) == (moved.name, QUEUED, (QUEUED, ""))
    assert jobs[0].files.record()["config"]["model"]["depth"] == 9  # nothing was thrown away


def test_a_configuration_that_no_longer_resolves_is_told(sweep, configurations):
    jobs, ledger = sweep

    def broken(words):
        return OmegaConf.merge(configurations[words], {"name": "${oc.env:NO_SUCH_VARIABLE}"})

    with pytest.raises(ValueError, match="the configuration cannot be resolved now, .*NO_SUCH_VARIABLE"):
        settle_changed(jobs, broken, None, ledger)
