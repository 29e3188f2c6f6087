import itertools
import sys

import pytest

from segexp.cli import main
from segexp.models import UNet
from segexp.sweeps.estimate import Estimate, makespan, measure, print_estimate
from segexp.sweeps.jobs import Job

TINY = (
    *(
        "data.source.size=[48,48]",
        "data.sampling.patch_size=[32,32]",
        "data.sampling.patches_per_epoch=16",
        "data.sampling.batch_size=4",
    ),
    *("model.base_channels=4", "model.depth=2", "trainer.precision=32-true", "trainer=cpu", "trainer.max_epochs=2"),
)


@pytest.mark.parametrize(
    ("seconds", "at_once", "whole"),
    [([3, 1, 2], 1, 6), ([3, 1, 2], 2, 3), ([1, 1, 4], 2, 5), ([5], 8, 5), ([], 2, 0)],
)
def test_jobs_start_where_one_ends_first(seconds, at_once, whole):
    assert makespan(seconds, at_once) == whole


def test_more_at_once_never_take_longer_than_one_and_never_less_than_their_share():
    for seconds in itertools.permutations([1.0, 2.0, 4.0, 8.0]):
        for at_once in (1, 2, 3):
            assert sum(seconds) / at_once <= makespan(seconds, at_once) <= sum(seconds)


@pytest.mark.slow
def test_jobs_of_one_experiment_share_a_measurement_and_a_wrong_one_is_named(tmp_path, capsys):
    jobs = [
        Job((*TINY, f"model.depth={depth}", seed), tmp_path / f"depth-{depth}__{seed}", replicate=(seed,))
        for depth in (2, 0)
        for seed in ("seed=1", "seed=2")
    ]
    print_estimate(jobs, 2)
    told = capsys.readouterr().out
    assert [line for line in told.splitlines() if line.startswith("measuring")] == [
        "measuring 1 of 2: depth-2__seed=1",
        "measuring 2 of 2: depth-0__seed=1",
    ]
    assert "job 3, 4: depth=0 must be an integer of at least 1" in told
    assert "2 jobs, 2 at once: about" in told
    assert "Left out, where minutes= does not say" in told
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_job_by_minutes_takes_them(tmp_path):
    words = tuple(word for word in TINY if not word.startswith("trainer.max_epochs"))
    found = measure(Job((*words, "minutes=5"), tmp_path / "job", ("train",)))
    assert found.error == ""
    assert found.seconds == pytest.approx(300)


@pytest.mark.slow
def test_words_of_the_command_reach_the_measurement(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("defaults: [unet, _self_]\nbase_channels: 5\ndepth: 1\n")
    words = tuple(word for word in TINY if not word.startswith("model"))
    found = measure(Job((*words, "model=mine"), tmp_path / "job", ("train", "--config-dir", str(tmp_path))))
    assert found.error == ""
    assert found.parameters == sum(p.numel() for p in UNet(base_channels=5, depth=1).parameters())
    assert found.seconds > found.start > 0
    assert found.disk > 2 * found.parameters * 4 * 3  # two files of weights and two moments of each


def test_a_job_that_cannot_run_takes_no_time():
    assert Estimate(error="no such key").seconds == 0


@pytest.mark.slow
def test_a_dry_run_runs_no_job(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    swept = ["seed=1,2", "sweep.name=dry", "sweep.dry_run=true", "hydra.launcher.jobs_at_once=2"]
    monkeypatch.setattr(sys, "argv", ["segexp", "train", "-m", *TINY, *swept])
    main()
    assert "2 jobs, 2 at once" in capsys.readouterr().out
    assert not list(tmp_path.rglob("run.json"))
    assert not list(tmp_path.rglob("ledger.jsonl"))
