"""Studies of real processes (tests/sweeps/tiny_study.py), and one of real training."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from segexp.runs.claim import take
from segexp.sweeps import search as search_module
from segexp.sweeps.ledger import Ledger
from tests.conftest import SMALL, python
from tests.sweeps.tiny_job import lines_of
from tests.sweeps.tiny_study import drive

ROOT = Path(__file__).parents[2]
X = "x=interval(-2,2)"
GRID = "hydra/sweeper/sampler=grid"
COMPLETE, FAIL, PRUNED, RUNNING = TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.RUNNING


def trials_of(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    return optuna.load_study(study_name="study", storage=storage).trials


def params_of(folder: Path) -> list[dict]:
    return [trial.params for trial in trials_of(folder)]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "study.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def most_at_once(folder: Path) -> int:
    running: set[str] = set()
    most = 0
    for line in lines_of(folder):
        (running.add if line["state"] == "running" else running.discard)(line["job"])
        most = max(most, len(running))
    return most


def starts(folder: Path) -> list[int]:
    return [len(path.read_text().splitlines()) for path in folder.glob("*/starts.txt")]


def wait_for(condition, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def start_driver(folder: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.sweeps.tiny_study", str(folder), *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def kill_at_work(folder: Path, ended: int, *words: str) -> None:
    """Kill a driver without warning once so many trials have ended and others are at work."""
    driver = start_driver(folder, *words)

    def far_enough() -> bool:
        states = [entry.state for entry in Ledger(folder / "ledger.jsonl").entries().values()]
        return driver.poll() is not None or (states.count("done") >= ended and "running" in states)

    wait_for(far_enough)
    assert driver.poll() is None, "the study ended before it could be killed"
    driver.send_signal(signal.SIGKILL)
    driver.wait()


def test_a_study_finds_the_best_and_leaves_table_plots_and_command(tmp_path, capsys):
    drive(tmp_path, X, "do=good,fine", "hydra.sweeper.trials=16", "epochs=2")
    rows = table(tmp_path)
    assert [row["number"] for row in rows] == [str(number) for number in range(16)]
    assert {row["state"] for row in rows} == {"complete"}
    assert {row["minutes"] for row in rows} == {"2.0"}
    assert all(float(row["val.dice"]) == pytest.approx(1 - (float(row["x"]) - 0.3) ** 2) for row in rows)
    assert most_at_once(tmp_path) == 2
    best = max(rows, key=lambda row: float(row["val.dice"]))
    assert abs(float(best["x"]) - 0.3) < 0.5
    out = capsys.readouterr().out
    assert f"best trial {best['number']}: val.dice" in out
    assert f"  segexp train epochs=2 x={best['x']} do={best['do']}\n" in out
    for stem in ("history", "parallel", "importance"):
        text = (tmp_path / f"{stem}.html").read_text()
        assert 'src="plotly.min.js"' in text
        assert "https://cdn" not in text
    assert (tmp_path / "plotly.min.js").stat().st_size > 1_000_000


@pytest.mark.parametrize(
    "sampler", ["random", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tpe", "cmaes", "nsgaii"))]
)
def test_a_study_that_goes_on_proposes_what_an_unbroken_one_does(tmp_path, sampler):
    words = (X, "y=interval(0,1)", f"hydra/sweeper/sampler={sampler}", "at_once=1", "epochs=1", "seconds=0")
    early = [] if sampler in ("random", "nsgaii") else ["hydra.sweeper.sampler.n_startup_trials=2"]
    for trials in (2, 3, 6):
        drive(tmp_path / "broken", *words, *early, f"hydra.sweeper.trials={trials}")
    drive(tmp_path / "whole", *words, *early, "hydra.sweeper.trials=6")
    drive(tmp_path / "other", *words, *early, "hydra.sweeper.trials=2", "hydra.sweeper.sampler.seed=1")
    found = params_of(tmp_path / "whole")
    assert len({str(params) for params in found}) == 6
    assert params_of(tmp_path / "broken") == found
    assert params_of(tmp_path / "other")[0] != found[0]


@pytest.mark.slow
def test_no_number_is_used_twice_though_the_driver_is_killed_twice(tmp_path):
    words = (X, "hydra.sweeper.trials=9", "seconds=0.15", "epochs=4")
    kill_at_work(tmp_path, 2, *words)
    first = trials_of(tmp_path)
    left = [trial for trial in first if trial.state == RUNNING]
    assert left
    with (tmp_path / "study.journal").open("a") as file:
        file.write('{"op_code":4,"wor')  # as a driver that died while it wrote
    if not os.path.lexists(tmp_path / "study.journal.lock"):  # Optuna's, while it writes
        (tmp_path / "study.journal.lock").symlink_to("study.journal")
    kill_at_work(tmp_path, 5, *words)
    drive(tmp_path, *words)
    ended = trials_of(tmp_path)
    assert [trial.number for trial in ended] == list(range(9))
    assert {trial.state for trial in ended} == {COMPLETE}
    for trial in first:  # one that was just asked for may have had no parameters yet
        assert trial.params in ({}, ended[trial.number].params)
    assert len(list(tmp_path.glob("*/results.json"))) == len({str(trial.params) for trial in ended}) == 9
    assert set(starts(tmp_path)) == {1}  # those left behind went on and were waited for


@pytest.mark.slow
def test_a_trial_whose_run_died_with_the_driver_is_taken_up_again(tmp_path):
    words = (X, "hydra.sweeper.trials=3", "at_once=1", "seconds=0.3", "epochs=5")
    kill_at_work(tmp_path, 1, *words)
    (left,) = [trial for trial in trials_of(tmp_path) if trial.state == RUNNING]
    folder = tmp_path / left.user_attrs["runs"][0]
    wait_for((folder / "checkpoints" / "last.ckpt").is_file)
    os.kill(int((folder / "starts.txt").read_text()), signal.SIGKILL)
    drive(tmp_path, *words)
    after = trials_of(tmp_path)
    assert [trial.state for trial in after] == [COMPLETE] * 3
    assert after[left.number].params == left.params
    assert sorted(starts(tmp_path)) == [1, 1, 2]
    assert len((folder / "metrics.csv").read_text().splitlines()) == 6  # it went on from its checkpoint


@pytest.mark.slow
@pytest.mark.parametrize("stopped", ["driver", "run"])
def test_a_trial_that_was_stopped_stays_at_work_for_the_next_driver(tmp_path, stopped):
    words = (X, "hydra.sweeper.trials=1", "seconds=0.2", "epochs=8")
    driver = start_driver(tmp_path, *words)
    wait_for(lambda: list(tmp_path.glob("*/checkpoints/last.ckpt")))
    (started,) = tmp_path.glob("*/starts.txt")
    pid = driver.pid if stopped == "driver" else int(started.read_text())
    os.kill(pid, signal.SIGTERM if stopped == "driver" else signal.SIGINT)
    driver.wait(30)
    (left,) = trials_of(tmp_path)
    assert left.state == RUNNING
    drive(tmp_path, *words)
    (after,) = trials_of(tmp_path)
    assert (after.state, after.params, starts(tmp_path)) == (COMPLETE, left.params, [2])
    assert list(after.intermediate_values) == list(range(8))


def test_nan_and_crash_are_failed_trials_and_the_study_goes_on(tmp_path, capsys):
    words = ("do=good,raise,die,undefined", GRID)
    with pytest.raises(ValueError, match="3 of 4 jobs failed") as failure:
        drive(tmp_path, *words)
    states = {trial.params["do"]: trial.state for trial in trials_of(tmp_path)}
    assert states == {"good": COMPLETE, "raise": FAIL, "die": FAIL, "undefined": FAIL}
    for reason in ("RuntimeError: planted", "killed by signal 9", "objective val.dice is None, not a number"):
        assert reason in str(failure.value)
    assert "  | RuntimeError: planted" in str(failure.value)
    out = capsys.readouterr().out
    assert "no importance of parameters for val.dice: it takes two completed trials" in out
    assert not (tmp_path / "importance.html").exists()
    with pytest.raises(ValueError, match="3 of 4 jobs failed"):  # told again, not run again
        drive(tmp_path, *words)
    assert len(trials_of(tmp_path)) == 4
    assert set(starts(tmp_path)) == {1}


def test_failed_trials_are_run_again_when_asked_as_new_trials_in_their_place(tmp_path):
    words = (X, "do=die", "hydra.sweeper.trials=2")
    with pytest.raises(ValueError, match="2 of 2 jobs failed"):
        drive(tmp_path, *words)
    with pytest.raises(ValueError, match="2 of 2 jobs failed"):
        drive(tmp_path, *words, "sweep.retry=failed")
    found = trials_of(tmp_path)
    assert [trial.params for trial in found[2:]] == [trial.params for trial in found[:2]]
    assert [trial.user_attrs.get("retry_of") for trial in found] == [None, None, 0, 1]
    assert starts(tmp_path) == [2, 2]


def test_no_trial_completed_leaves_a_table_and_says_so(tmp_path, capsys):
    with pytest.raises(ValueError, match="1 of 1 jobs failed"):
        drive(tmp_path, X, "do=raise", "hydra.sweeper.trials=1")
    assert "no plots, as no trial was completed" in capsys.readouterr().out
    assert table(tmp_path)[0]["why"] == "RuntimeError: planted"


@pytest.mark.parametrize("pruner", ["median", pytest.param("hyperband", marks=pytest.mark.slow)])
def test_a_bad_curve_is_stopped(tmp_path, pruner):
    early = ["hydra.sweeper.pruner.n_startup_trials=2", "hydra.sweeper.pruner.n_warmup_steps=1"]
    words = [f"hydra/sweeper/pruner={pruner}", "hydra/sweeper/sampler=random", "hydra.sweeper.trials=12"]
    if pruner == "hyperband":
        early = ["hydra.sweeper.pruner.max_resource=9"]
    drive(tmp_path, X, *words, *early, "epochs=9", "seconds=0.1")
    found = trials_of(tmp_path)
    pruned = [trial for trial in found if trial.state == PRUNED]
    complete = [trial for trial in found if trial.state == COMPLETE]
    assert pruned
    assert len(pruned) + len(complete) == 12
    assert max(complete, key=lambda trial: trial.value).value > max(trial.value for trial in pruned)
    for trial in pruned:
        folder = tmp_path / trial.user_attrs["runs"][0]
        assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
        assert not (folder / "results.json").exists()
    # On a busy machine a bad curve may be read only once it is whole.
    assert min(len(trial.intermediate_values) for trial in pruned) < 9
    for trial in complete:
        assert list(trial.intermediate_values) == list(range(9))
    assert {row["state"] for row in table(tmp_path)} == {"pruned", "complete"}


@pytest.mark.slow
def test_two_objectives_leave_a_front(tmp_path, capsys):
    aims = "hydra.sweeper.objectives=[val.dice,training.minutes]"
    words = ["hydra/sweeper/sampler=nsgaii", "hydra.sweeper.sampler.population_size=4", "hydra.sweeper.trials=12"]
    drive(tmp_path, "x=interval(0,1)", aims, *words, "epochs=1")
    found = trials_of(tmp_path)
    assert len({trial.system_attrs["NSGAIISampler:generation"] for trial in found}) == 3
    best = min(found, key=lambda trial: trial.values[1])
    assert f"Pareto-optimal: trial {best.number}: val.dice" in capsys.readouterr().out
    for name in ("pareto", "parallel_val.dice", "importance_training.minutes"):
        assert (tmp_path / f"{name}.html").is_file()
    assert [float(table(tmp_path)[0][name]) for name in ("val.dice", "training.minutes")] == found[0].values
    with pytest.raises(ValueError, match="MedianPruner with several objectives: Optuna prunes by one"):
        drive(tmp_path, "x=interval(0,1)", aims, "hydra/sweeper/pruner=median")
    with pytest.raises(ValueError, match="CmaEsSampler: .*multi-objective"):
        drive(tmp_path, "x=interval(0,1)", aims, "hydra/sweeper/sampler=cmaes")
    with pytest.raises(ValueError, match="holds a study with objectives .* another sweep.name"):
        drive(tmp_path, "x=interval(0,1)", "epochs=1")


def test_a_grid_ends_when_it_is_used_up_and_goes_on_when_it_is_widened(tmp_path):
    drive(tmp_path, "x=range(0,2,1)", "y=range(0,3,1)", GRID, "epochs=1")
    assert len(trials_of(tmp_path)) == 6
    drive(tmp_path, "x=range(0,3,1)", "y=range(0,3,1)", GRID, "epochs=1")
    found = params_of(tmp_path)
    assert len(found) == len({tuple(params.values()) for params in found}) == 9
    assert starts(tmp_path) == [1] * 9


def test_equal_proposals_share_one_run(tmp_path):
    drive(tmp_path, "x=0.1,0.2", "hydra/sweeper/sampler=random", "hydra.sweeper.trials=8", "at_once=3")
    found = trials_of(tmp_path)
    assert [trial.state for trial in found] == [COMPLETE] * 8
    assert starts(tmp_path) == [1, 1]


def test_seeds_repeat_a_trial_and_its_value_is_their_mean(tmp_path):
    words = ("x=0.3,0.4", GRID, "sweep.seeds=[1,2,3]")
    drive(tmp_path, *words)
    first = trials_of(tmp_path)[0]
    assert len(first.user_attrs["runs"]) == 3
    assert first.value == pytest.approx(1 - (first.params["x"] - 0.3) ** 2 + 0.02)
    assert starts(tmp_path) == [1] * 6
    with pytest.raises(ValueError, match="MedianPruner with sweep.seeds or sweep.folds"):
        drive(tmp_path, *words, "hydra/sweeper/pruner=median")


def test_another_driver_and_other_choices_are_refused(tmp_path):
    drive(tmp_path, "x=0.3,0.4", GRID)
    with pytest.raises(ValueError, match="other choices of x, which Optuna cannot change"):
        drive(tmp_path, "x=0.3,0.5", GRID)
    with pytest.raises(ValueError, match="holds a study with parameters \\['x'\\], not \\['y'\\]"):
        drive(tmp_path, "y=0.3,0.4", GRID)
    with take(tmp_path), pytest.raises(BlockingIOError, match="is in use .process"):
        drive(tmp_path, "x=0.3,0.4", GRID)


def test_dry_run_says_what_would_be_searched(tmp_path, capsys):
    drive(tmp_path, X, "hydra.sweeper.params={do: 'choice(good,nan)'}", "sweep.dry_run=true")
    out = capsys.readouterr().out
    assert out.startswith("20 trials would maximize val.dice over do (good, nan), x (-2.0 to 2.0), 2 runs at once")
    assert not (tmp_path / "study.journal").exists()


def test_a_missing_figure_fails_the_trial_and_names_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="objective val.dicee: the run has no 'dicee' \\(did you mean 'dice'\\?\\)"):
        drive(tmp_path, X, "hydra.sweeper.objectives=[val.dicee]", "hydra.sweeper.directions=[maximize]",
              "hydra.sweeper.trials=1")  # fmt: skip


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(ValueError, match="needs cmaes: pip install 'segexp\\[search\\]'"):
        drive(tmp_path, X)


def test_the_plugin_scan_imports_no_optuna():
    code = "import sys, hydra_plugins.segexp_sweeps.sweeper; print('optuna' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    assert "optuna" not in vars(search_module)


@pytest.mark.slow
def test_real_training_through_the_command_line(tmp_path):
    small = [*SMALL, "data.sampling.patches_per_epoch=8", "model.depth=1", "trainer=cpu", "trainer.max_epochs=2"]
    words = ["hydra/sweeper=optuna", "hydra.sweeper.trials=2", "optimizer.lr=tag(log,interval(1e-3,1e-2))"]
    aims = ["hydra.sweeper.objectives=[val.dice,parameters]"]
    done = python(tmp_path, "-m", "segexp", "train", "-m", *words, *aims, *small)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "outputs").glob("sweep*")
    for row in table(folder):
        run = folder / row["runs"]
        assert float(row["val.dice"]) == json.loads((run / "results.json").read_text())["val"]["dice"]
        assert float(row["parameters"]) == json.loads((run / "run.json").read_text())["parameters"]
        assert f"optimizer.lr={row['optimizer.lr']}" in (run / "overrides.yaml").read_text()
    assert "Pareto-optimal: trial" in done.stdout
    assert "no importance of parameters for parameters: all trials have the same value" in done.stdout
