"""Whole runs on disks that are full, folders that vanish, and checkpoints that are damaged: nothing good is lost."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from segexp.checkpoints.archive import require_checkpoint
from segexp.runs.files import write_json
from segexp.runs.folder import RunFolder
from segexp.writing import WriteError
from tests.conftest import HERE, ROOT, SMALL, trained
from tests.test_writing import file_size_limit, listed

QUIET = ["callbacks.panels.enabled=false", "logger=none"]


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory) -> RunFolder:
    folder = tmp_path_factory.mktemp("disk") / "run"
    words = [*SMALL, *HERE, *QUIET, "trainer.max_epochs=2", f"hydra.run.dir={folder}"]
    segexp(folder.parent, "train", *words).communicate(timeout=200)
    assert json.loads((folder / "run.json").read_text())["status"] == "done"
    shutil.copytree(folder, folder.with_name("kept"))
    return RunFolder(folder)


@pytest.fixture
def run(trained_once) -> RunFolder:
    """The run as it was, at its own place."""
    folder = trained_once.path
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("kept"), folder)
    return trained_once


def contents(run: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.last_checkpoint.parent.iterdir()}


def segexp(folder: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "segexp", *words],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), "TMPDIR": "/nowhere"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_full_disk_ends_a_new_run_with_that_cause(tmp_path):
    with file_size_limit(100_000), pytest.raises(WriteError, match=r"\.ckpt cannot be written: File too large"):
        trained(tmp_path / "run", *QUIET)
    record = RunFolder(tmp_path / "run").record()
    assert record["status"] == "failed"
    assert ".ckpt cannot be written: File too large" in record["why"]
    assert not [name for name in listed(tmp_path / "run") if "part" in name]


def mounted(folder: Path, size: str) -> bool:
    """Mount a small disk, where this machine lets us."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return bool(shutil.which("mount")) and not subprocess.run(mount, capture_output=True, check=False).returncode


def may_mount(folder: Path) -> bool:
    """Whether this machine lets us mount a disk."""
    may = mounted(folder / "try", "100k")
    if may:
        subprocess.run(["umount", str(folder / "try")], check=True)
    return may


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 640 kB, where this machine lets us have one."""
    folder = tmp_path / "disk"
    if not mounted(folder, "640k"):
        pytest.skip("needs the right to mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_fills_up_leaves_a_true_record_and_whole_checkpoints(small_disk):
    with pytest.raises(WriteError, match=r"No space left on device, 0.\d MB are free there: make room"):
        trained(small_disk / "run", *QUIET, "trainer.max_epochs=10")
    run = RunFolder(small_disk / "run")
    assert run.fault() == ""
    assert run.record()["status"] == "failed"
    assert "No space left on device" in run.record()["why"]
    for path in run.checkpoints:
        require_checkpoint(path)


def test_a_full_disk_ends_the_run_with_that_cause_and_it_can_be_resumed(run, answer):
    checkpoints = contents(run)
    record = run.record()
    with file_size_limit(100_000):
        status, _, said = answer("train", f"resume={run.path}", "trainer.max_epochs=3")
    assert status == 1
    assert ".ckpt cannot be written: File too large" in said
    assert contents(run) == checkpoints
    assert run.record() == record  # it has saved nothing since
    assert len(run.curves()) == 2
    assert not [name for name in listed(run.path) if "part" in name]
    # With room again, the run ends as it would have.
    status, _, said = answer("train", f"resume={run.path}", "trainer.max_epochs=3")
    assert status == 0, said
    assert run.record()["status"] == "done"
    assert [row["epoch"] for row in run.curves()] == ["0", "1", "2"]


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="diverged"):
        trained(tmp_path / "run", *QUIET, "optimizer.lr=1e30", "trainer.max_epochs=1")
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_a_damaged_last_checkpoint_is_named_and_the_one_before_taken(run, answer, caplog):
    """From the epoch before, the same metrics come out as without the damage."""
    results = run.results()["test"]
    whole = run.last_checkpoint.read_bytes()
    place = len(whole) // 2
    run.last_checkpoint.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    write_json(run.record_path, run.record() | {"status": "interrupted"})
    assert answer("train", f"resume={run.path}")[0] == 0
    assert "last.ckpt is damaged" in caplog.text
    assert "going on from" in caplog.text
    assert run.results()["test"] == results


def test_two_damaged_checkpoints_are_named(run, answer):
    for path in run.checkpoints:
        path.write_bytes(path.read_bytes()[:-100])
    status, _, said = answer("train", f"resume={run.path}", "trainer.max_epochs=3")
    assert status == 1
    assert "last.ckpt is a broken archive" in said


@pytest.mark.slow
def test_a_folder_that_is_deleted_ends_the_run_with_that_cause(tmp_path):
    folder = RunFolder(tmp_path / "run")
    words = [*SMALL, *HERE, *QUIET, "trainer.max_epochs=10000", f"hydra.run.dir={folder.path}"]
    process = segexp(tmp_path, "train", *words)
    while not folder.last_checkpoint.exists():
        time.sleep(0.05)
        assert process.poll() is None
    (tmp_path / "run").rename(tmp_path / "gone")
    _, said = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "cannot be written: its folder" in said
    assert not (tmp_path / "run").exists()


def test_a_run_needs_no_place_for_temporary_files(run):
    """The fixture's own has none: TMPDIR leads nowhere."""
    assert listed(run.path / "checkpoints") == ["best.ckpt", "last.ckpt", "previous.ckpt"]
