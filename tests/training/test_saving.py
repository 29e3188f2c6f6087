"""A checkpoint is whole or not there, the one before is kept, and the folder for temporary files plays no part."""

import itertools
import signal
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segexp.checkpoints.archive import require_checkpoint
from segexp.runs.folder import RunFolder
from segexp.training.saving import CheckpointFiles
from segexp.writing import WriteError
from tests.test_writing import file_size_limit, listed


def content(number: int) -> dict[str, Tensor]:
    return {"number": torch.full((10_000,), number)}


def number_in(path: Path) -> int:
    require_checkpoint(path)
    return int(torch.load(path, weights_only=True)["number"][0])


def test_the_one_before_the_last_is_kept(tmp_path):
    run, saver = RunFolder(tmp_path), CheckpointFiles()
    for number in range(4):
        saver.save_checkpoint(content(number), run.last_checkpoint)
        saver.save_checkpoint(content(number), run.best_checkpoint)
    assert [number_in(path) for path in (*run.checkpoints, run.best_checkpoint)] == [3, 2, 3]
    assert listed(tmp_path / "checkpoints") == ["best.ckpt", "last.ckpt", "previous.ckpt"]
    assert int(saver.load_checkpoint(run.last_checkpoint)["number"][0]) == 3
    saver.remove_checkpoint(run.last_checkpoint)
    assert not run.last_checkpoint.exists()


def test_a_full_disk_leaves_both(tmp_path):
    run, saver = RunFolder(tmp_path), CheckpointFiles()
    for number in range(2):
        saver.save_checkpoint(content(number), run.last_checkpoint)
    with file_size_limit(20_000), pytest.raises(WriteError, match=r"last.ckpt cannot be written: File too large"):
        saver.save_checkpoint(content(2), run.last_checkpoint)
    assert [number_in(path) for path in run.checkpoints] == [1, 0]
    assert listed(tmp_path / "checkpoints") == ["last.ckpt", "previous.ckpt"]


def test_a_folder_that_is_gone_is_not_made_again(tmp_path):
    run, saver = RunFolder(tmp_path / "run"), CheckpointFiles()
    saver.save_checkpoint(content(0), run.last_checkpoint)
    (tmp_path / "run").rename(tmp_path / "moved")
    with pytest.raises(WriteError, match="is gone"):
        saver.save_checkpoint(content(1), run.last_checkpoint)
    assert listed(tmp_path) == ["moved"]


def save_on_and_on(folder: Path) -> None:
    tempfile.tempdir = "/nowhere"
    saver = CheckpointFiles()
    for number in itertools.count():
        saver.save_checkpoint({"number": torch.full((200_000,), number)}, RunFolder(folder).last_checkpoint)


def test_kills_at_any_moment_leave_a_whole_one(tmp_path):
    run = RunFolder(tmp_path)
    for attempt in range(20):
        saver = get_context("fork").Process(target=save_on_and_on, args=[tmp_path])
        saver.start()
        while not run.previous_checkpoint.exists():
            time.sleep(0.001)
        time.sleep(0.002 * attempt)
        saver.kill()
        saver.join()
        assert saver.exitcode == -signal.SIGKILL
        number_in(run.last_checkpoint)
        number_in(run.previous_checkpoint)
        run.previous_checkpoint.unlink()


def test_flipped_bits_are_found(tmp_path):
    path = tmp_path / "last.ckpt"
    CheckpointFiles().save_checkpoint(content(0), path)
    whole = path.read_bytes()
    for place in range(600, len(whole) - 600, 4001):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"last.ckpt .*(CRC-32|broken archive)"):
            require_checkpoint(path)
    # One bit lets PyTorch take a tensor for a folder, and its numbers for whatever the memory holds.
    attributes = whole.index(b"PK\x01\x02") + 38
    path.write_bytes(whole[:attributes] + b"\x10" + whole[attributes + 1 :])
    with pytest.raises(ValueError, match="must be stored as it is"):
        require_checkpoint(path)
