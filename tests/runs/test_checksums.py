"""What segexp wrote is told apart from what somebody or a disk has changed, and a kill is no damage."""

import json
import signal
from threading import Thread

import pytest

from segexp.runs.checksums import CHECKSUMS, read_checked, write_checked
from segexp.runs.folder import RunFolder
from tests.conftest import python

TEXT = b'{"seed": 1, "dice": 0.5}\n'
KILLED = """
import os
from pathlib import Path
from segexp import writing
from segexp.runs.checksums import write_checked

settle = writing.settle

def killed(part, path, sync=True):
    if path.name == "run.json":
        os.kill(os.getpid(), 9)
    settle(part, path, sync)

writing.settle = killed
write_checked(Path("run.json"), b"new")
"""


def test_a_flipped_bit_is_named(tmp_path):
    path = tmp_path / "run.json"
    write_checked(path, TEXT)
    assert read_checked(path) == TEXT
    for place in range(0, 8 * len(TEXT), 7):
        damaged = bytearray(TEXT)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"run.json was changed or damaged since .* delete .*json"):
            read_checked(path)


@pytest.mark.parametrize("content", [b"", TEXT[:9], TEXT * 2])
def test_other_lengths_are_named(tmp_path, content):
    path = tmp_path / "run.json"
    write_checked(path, TEXT)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="changed or damaged"):
        read_checked(path)


def test_what_was_written_before_there_were_checksums_is_read(tmp_path):
    (tmp_path / "run.json").write_bytes(TEXT)
    assert read_checked(tmp_path / "run.json") == TEXT
    write_checked(tmp_path / "results.json", b"{}")
    assert read_checked(tmp_path / "run.json") == TEXT


def test_a_kill_between_checksum_and_file_leaves_the_old_one_whole(tmp_path):
    path = tmp_path / "run.json"
    write_checked(path, TEXT)
    for _ in range(2):
        assert python(tmp_path, "-c", KILLED).returncode == -signal.SIGKILL
        assert read_checked(path) == TEXT
    write_checked(path, b"next")
    assert read_checked(path) == b"next"


def test_damage_stays_damage_when_the_next_write_is_killed(tmp_path):
    path = tmp_path / "run.json"
    write_checked(path, TEXT)
    path.write_bytes(b"damaged")
    python(tmp_path, "-c", KILLED)
    with pytest.raises(ValueError, match="changed or damaged"):
        read_checked(path)


@pytest.mark.parametrize("content", ["", "[]", '{"run.json": []}', '{"run.json": "x"}', "[" * 100_000])
def test_damaged_checksums_are_named_and_written_anew(tmp_path, content):
    write_checked(tmp_path / "run.json", TEXT)
    (tmp_path / CHECKSUMS).write_text(content)
    with pytest.raises(ValueError, match=r"checksums.json is damaged: delete it"):
        read_checked(tmp_path / "run.json")
    write_checked(tmp_path / "run.json", TEXT)
    assert read_checked(tmp_path / "run.json") == TEXT


def test_a_reader_meets_no_damage_while_the_file_is_written(tmp_path):
    path = tmp_path / "run.json"
    write_checked(path, b"0")

    def write() -> None:
        for number in range(60):
            write_checked(path, str(number).encode())

    writer = Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert read_checked(path).isdigit()
    writer.join()


def test_a_run_folder_says_which_file_is_damaged(tmp_path):
    run = RunFolder(tmp_path)
    run.write_arguments({"seed": 1}, ["seed=1"])
    write_checked(run.record_path, json.dumps({"status": "done"}).encode())
    assert run.fault() == ""
    for path in (run.overrides_path, run.config_path, run.record_path):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        assert path.name in run.fault()
        path.write_bytes(whole)
