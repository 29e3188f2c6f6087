"""Grids of real processes (tests/sweeps/tiny_job.py), launched as Hydra launches them."""

import csv
import json
import math

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from segexp.config import config_dir, own_options, register_resolvers
from segexp.sweeps.jobs import Job
from segexp.sweeps.launcher import Sweep, launch
from segexp.sweeps.ledger import RUNNING
from segexp.sweeps.local import LocalEngine
from tests.sweeps.tiny_job import TinyJob, lines_of


class Engine(LocalEngine):
    """Starts the script of `TinyJob` instead of segexp."""

    def start(self, job: Job):
        return super().start(TinyJob(job.overrides, job.folder, job.command, job.replicate))


def composed(folder, *words: str) -> DictConfig:
    register_resolvers()
    with own_options(), initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("train", [f"hydra.sweep.dir={folder}", *words], return_hydra_config=True)


def engine() -> Engine:
    return Engine(jobs_at_once=2, gpus_per_job=0, stop_seconds=5)


def grid(folder, batches: list[list[str]], *words: str) -> list[float]:
    """Run a grid; the values that Hydra is told of."""
    return [item.return_value for item in launch(composed(folder, *words), engine(), batches)]


def starts(folder) -> int:
    return sum(line["state"] == RUNNING for line in lines_of(folder))


def test_each_set_of_overrides_is_told_its_mean_over_seeds_and_has_a_row(tmp_path, capsys):
    assert grid(tmp_path, [["value=0.5"], ["value=0.25"]], "sweep.seeds=[1,2]") == [0.5, 0.25]
    folders = sorted(path.name.rpartition("__")[0] for path in tmp_path.iterdir() if path.is_dir())
    assert folders == [f"value-{value}__seed-{seed}" for value in (0.25, 0.5) for seed in (1, 2)]
    with (tmp_path / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["value"], row["runs"], row["metric"], row["mean"], row["sd"]) for row in rows] == [
        ("0.5", "2 of 2", "val/dice", "0.5", "0.0"),
        ("0.25", "2 of 2", "val/dice", "0.25", "0.0"),
    ]
    out = capsys.readouterr().out
    assert f"4 jobs in {tmp_path}, 2 at once" in out
    assert "one row per experiment" in out


def test_an_undefined_metric_is_nan(tmp_path):
    defined, undefined = grid(tmp_path, [["value=0.5"], ["do=nan"]])
    assert defined == 0.5
    assert math.isnan(undefined)


def test_failures_are_told_with_the_end_of_their_logs_and_the_others_are_kept(tmp_path):
    batches = [["do=raise"], ["do=good"]]
    message = "^1 of 2 jobs failed; the same command with sweep.retry=failed"
    for words, count in (((), 2), ((), 2), (("sweep.retry=failed",), 3)):  # run again only when asked
        with pytest.raises(ValueError, match=message) as failure:
            grid(tmp_path, batches, *words)
        assert starts(tmp_path) == count
    told = str(failure.value).splitlines()
    assert told[1].startswith("do-raise__")
    assert told[1].endswith(": RuntimeError: planted")
    assert "  | RuntimeError: planted" in told
    assert told[-1].startswith("  all of it: ")
    assert told[-1].endswith("log.txt")
    (kept,) = tmp_path.glob("do-good__*/results.json")
    assert json.loads(kept.read_text())["val"] == {"dice": 0.5}


@pytest.mark.slow
def test_what_fail_fast_has_not_started_is_counted(tmp_path):
    batches = [["do=raise", "seconds=0"], ["seconds=2"], ["value=0.1"], ["value=0.2"]]
    with pytest.raises(ValueError, match=r"1 of 4 jobs failed; .*; 2 were not started \(sweep.fail_fast\)"):
        grid(tmp_path, batches, "sweep.fail_fast=true")


def test_a_widened_grid_keeps_the_folders_of_what_has_run(tmp_path):
    grid(tmp_path, [["value=0.5"]])
    before = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert grid(tmp_path, [["value=0.5"], ["value=0.25"]]) == [0.5, 0.25]
    after = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert before < after
    assert (len(after), starts(tmp_path)) == (2, 2)


def test_jobs_find_the_files_of_configuration_that_the_sweep_was_given(tmp_path):
    config = composed(tmp_path, f"hydra.searchpath=[file://{config_dir()}]")
    (job,) = Sweep(config, engine()).jobs(["value=0.5", "hydra.verbose=true", "sweep.fail_fast=true"], [])
    assert job.command == ("train", f"hydra.searchpath=[file://{config_dir()}]")
    assert job.overrides == ("value=0.5",)


def test_settings_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"sweep.retry='all' is not one of \[None, 'failed'\]"):
        Sweep(composed(tmp_path, "sweep.retry=all"), engine())
    config = composed(tmp_path)
    config.hydra.job.config_name = "evaluate"
    with pytest.raises(ValueError, match="-m with segexp evaluate: only the runs of segexp train are swept"):
        Sweep(config, engine())
