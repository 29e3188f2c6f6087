import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from segexp.cli import main
from segexp.runs.claim import take
from segexp.sweeps.jobs import Job
from segexp.sweeps.ledger import FAILED, PRUNED, QUEUED, Ledger
from segexp.sweeps.pool import verdict


def leave(folder: Path, status: str, hours: float = 1, dice: float | None = None, checkpoint: bool = False) -> Path:
    """Write the files of a run that ended (or was last touched) some hours ago, as `segexp train` leaves them."""
    folder.mkdir(parents=True)
    then = datetime.now(UTC) - timedelta(hours=hours)
    stamp = then.isoformat(timespec="seconds")
    record = {"status": status, "why": "", "start": stamp, "end": None if status == "running" else stamp}
    (folder / "run.json").write_text(json.dumps(record | {"config": {"seed": 1, "model": {"depth": 4}}}))
    (folder / "metrics.csv").write_text("epoch,seconds,validation_seconds\n0,50,10\n1,50,10\n")
    if dice is not None:
        headline = {"split": "test", "metric": "dice", "value": dice}
        (folder / "results.json").write_text(json.dumps({"headline": headline, "test": {"dice": dice}}))
    if checkpoint:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "last.ckpt").write_bytes(bytes(2000))
    for path in folder.rglob("*"):
        os.utime(path, (then.timestamp(), then.timestamp()))
    return folder


@pytest.fixture
def answer(monkeypatch, capsys, tmp_path):
    """Run `segexp runs` in this process; return exit status and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGEXP_OUTPUT_DIR", raising=False)

    def run(*words: str, typed: str | None = None) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["segexp", "runs", *words])
        keyboard, other = os.openpty() if typed is not None else os.pipe()[::-1]
        os.write(keyboard, (typed or "").encode())
        status = 0
        with os.fdopen(other) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            try:
                main()
            except SystemExit as stop:
                status = int(stop.code or 0)
        os.close(keyboard)
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


@pytest.fixture
def outputs(tmp_path) -> Iterator[Path]:
    folder = tmp_path / "outputs"
    leave(folder / "good", "done", 2, 0.8, checkpoint=True)
    leave(folder / "better", "done", 30, 0.9)
    leave(folder / "broken", "failed", 5)
    leave(folder / "cut", "interrupted", 6, checkpoint=True)
    leave(folder / "early", "interrupted", 7)
    leave(folder / "busy", "running", 0.1)
    leave(folder / "gone", "running", 8)
    leave(folder / "power_cut", "running", 9, checkpoint=True)
    with take(folder / "busy"):
        yield folder


def listed(answer, *words: str) -> dict[str, dict]:
    return {Path(row["run"]).name: row for row in json.loads(answer("--format", "json", *words)[1])}


def test_states_figures_sizes_and_minutes(answer, outputs):
    rows = listed(answer)
    assert {name: row["state"] for name, row in rows.items()} == {
        "good": "done",
        "better": "done",
        "broken": "failed",
        "cut": "interrupted",
        "early": "interrupted",
        "busy": "running",
        "gone": "stale",
        "power_cut": "stale",
    }
    assert next(iter(rows)) == "busy"  # newest first
    assert rows["good"]["metric"] == "test/dice"
    assert rows["good"]["value"] == 0.8
    assert rows["good"]["size_bytes"] == sum(p.stat().st_size for p in (outputs / "good").rglob("*") if p.is_file())
    assert rows["good"]["minutes"] == 2.0
    assert rows["good"]["age_seconds"] == pytest.approx(7200, abs=60)
    assert [row["resumable"] for row in (rows["cut"], rows["early"])] == [True, False]


def test_piped_lines_are_plain_with_totals_below(answer, outputs):
    status, text = answer("outputs", "--sort", "metric")
    lines = text.splitlines()
    assert status == 0
    assert lines[0].split() == ["run", "state", "metric", "age", "size", "minutes"]
    assert lines[1].startswith("outputs/better")
    assert lines[1].split()[1:7] == ["done", "test/dice", "0.9000", "30", "h", str(_bytes(outputs / "better"))]
    assert lines[2].startswith("outputs/good")
    assert lines[-1].startswith("8 runs: 2 done, 1 failed, 1 running, 2 interrupted, 2 stale; ")
    assert lines[-1].endswith("16.0 minutes of training")
    assert not set(text) & set("│─━\x1b")


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_conditions_choose_and_may_ask_for_stale_runs(answer, outputs):
    assert set(listed(answer, "--where", "status=='stale'")) == {"gone", "power_cut"}
    assert set(listed(answer, "--where", "dice>0.85 and model.depth==4")) == {"better"}
    assert "no run has 'dise' (did you mean 'dice'?)" in answer("--where", "dise>0.85")[1]


def test_nothing_there_is_no_error_but_a_wrong_folder_is(answer, tmp_path):
    assert answer() == (0, "no runs\n")
    status, text = answer("outptus")
    assert status == 1
    assert "outptus: no run there" in text


def test_a_long_epoch_is_not_taken_for_a_dead_process(answer, outputs):
    with take(outputs / "gone"):
        os.utime(outputs / "gone" / ".lock", (0, 0))
        assert set(listed(answer, "--where", "status=='stale'")) == {"power_cut"}
    assert set(listed(answer, "--where", "status=='stale'")) == {"gone", "power_cut"}


def left(outputs: Path) -> set[str]:
    return {path.name for path in outputs.iterdir()}


EVERYTHING = {"good", "better", "broken", "cut", "early", "busy", "gone", "power_cut"}


def test_clean_needs_an_answer(answer, outputs):
    status, text = answer("clean")
    assert status == 1
    assert "no terminal to ask whether to remove 3 runs: give --yes" in text
    assert left(outputs) == EVERYTHING


def test_clean_asks_and_takes_a_no(answer, outputs):
    status, text = answer("clean", typed="\n")
    assert "remove 3 runs? [y/N]" in text
    assert status == 0
    assert left(outputs) == EVERYTHING


def test_clean_removes_failed_and_abandoned_runs(answer, outputs):
    status, text = answer("clean", typed="y\n")
    assert status == 0
    assert left(outputs) == EVERYTHING - {"broken", "early", "gone"}
    assert "kept: outputs/cut (interrupted) can be resumed with resume=<folder>" in text
    assert "kept: outputs/power_cut (stale) can be resumed" in text
    assert "removed 3 runs" in text
    assert "good" not in text


def test_clean_takes_what_could_go_on_only_when_told(answer, outputs):
    answer("clean", "--yes", "--resumable", "--where", "status=='interrupted'")
    assert left(outputs) == EVERYTHING - {"early", "cut"}


def test_clean_follows_no_link_out_of_the_folder(answer, outputs, tmp_path):
    far = leave(tmp_path / "far", "failed")
    (outputs / "broken" / "link").symlink_to(tmp_path / "far")
    (outputs / "linked").symlink_to(far)
    leave(tmp_path / "other" / "run", "failed")
    (outputs / "sweep").symlink_to(tmp_path / "other")
    _, text = answer("clean", "outputs/*", "--yes")
    assert "kept: outputs/linked lies elsewhere" in text
    assert "kept: outputs/sweep/run lies elsewhere" in text
    assert (far / "run.json").is_file()
    assert (tmp_path / "other" / "run" / "run.json").is_file()
    assert not (outputs / "broken").exists()


def test_an_output_folder_that_is_a_link_itself_is_cleaned(answer, outputs, tmp_path):
    outputs.rename(tmp_path / "scratch")
    outputs.symlink_to(tmp_path / "scratch")
    answer("clean", "--yes")
    assert left(outputs) == EVERYTHING - {"broken", "early", "gone"}


def test_clean_keeps_a_folder_that_is_more_than_a_run(answer, outputs, tmp_path, monkeypatch):
    (outputs / "broken" / "run.json").rename(outputs / "run.json")  # as after hydra.run.dir=outputs
    _, text = answer("clean", "--yes")
    assert "kept: outputs has other runs below it" in text
    assert left(outputs) >= EVERYTHING - {"broken"}
    project = leave(tmp_path / "project", "failed")
    monkeypatch.chdir(project)  # as after hydra.run.dir=.
    assert "is more than a run folder" in answer("clean", ".", "--yes")[1]
    assert (project / "run.json").is_file()


def test_a_sweep_runs_again_what_was_removed(answer, outputs):
    sweep = outputs / "sweep"
    ledger = Ledger(sweep / "ledger.jsonl")
    jobs = {name: Job((f"seed={place}",), sweep / name) for place, name in enumerate(("a", "b"))}
    leave(sweep / "a", "failed")
    leave(sweep / "b", "interrupted", checkpoint=True)
    for name, state in (("a", FAILED), ("b", PRUNED)):
        ledger.add(jobs[name].id, name, state)
    assert verdict(jobs["a"], ledger.entries()[jobs["a"].id])[0] == FAILED
    answer("clean", "outputs/sweep", "--yes")
    assert not (sweep / "a").exists()
    states = {name: verdict(job, ledger.entries()[job.id])[0] for name, job in jobs.items()}
    assert states == {"a": QUEUED, "b": PRUNED}


def test_a_failed_run_that_its_sweep_has_started_again_stays(answer, outputs):
    with take(outputs / "broken"):
        answer("clean", "--yes")
    assert "broken" in left(outputs)
