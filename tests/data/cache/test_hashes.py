"""Hashes of files against hashlib, and when they are computed anew."""

import hashlib
import os
import time

import pytest

from segexp.data.cache import hashes
from segexp.data.cache.hashes import FileHashes, hash_plain


@pytest.fixture
def read(monkeypatch):
    """Names of the files that were read, in turn."""
    names = []
    real = hashes.hash_file
    monkeypatch.setattr(hashes, "hash_file", lambda path: names.append(path.name) or real(path))
    return names


def test_a_file_is_hashed_by_its_content_alone(tmp_path):
    one, two = tmp_path / "a.png", tmp_path / "b.png"
    one.write_bytes(b"pixels")
    two.write_bytes(b"pixels")
    known = FileHashes(tmp_path / "hashes")
    assert known.of(one) == known.of(two) == hash_plain({"": hashlib.sha256(b"pixels").hexdigest()})


def test_a_second_start_reads_no_file(tmp_path, read):
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    first = FileHashes(tmp_path / "hashes").of(path)
    assert FileHashes(tmp_path / "hashes").of(path) == first
    assert read == ["a.png"]


def test_a_file_with_size_and_time_set_back_is_read_again(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    before, times = FileHashes(tmp_path / "hashes").of(path), path.stat()
    time.sleep(0.05)  # beyond a tick of the file system's clock
    path.write_bytes(b"PIXELS")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)
    assert FileHashes(tmp_path / "hashes").of(path) != before


@pytest.mark.parametrize("damage", [b"", b"short", b"\xff" * 64])
def test_a_damaged_memory_is_computed_again(tmp_path, damage, read):
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    first = FileHashes(tmp_path / "hashes").of(path)
    (memory,) = (tmp_path / "hashes").iterdir()
    memory.write_bytes(damage)
    assert FileHashes(tmp_path / "hashes").of(path) == first
    assert FileHashes(tmp_path / "hashes").of(path) == first
    assert len(read) == 2


def test_a_folder_is_all_its_files(tmp_path, read):
    series = tmp_path / "series"
    (series / "inner").mkdir(parents=True)
    (series / "1.dcm").write_bytes(b"1")
    (series / "inner" / "2.dcm").write_bytes(b"2")
    known = FileHashes(tmp_path / "hashes")
    first = known.of(series)
    assert known.of(series) == first
    assert read == ["1.dcm", "2.dcm"]
    (series / "3.dcm").write_bytes(b"3")
    grown = known.of(series)
    (series / "3.dcm").rename(series / "4.dcm")
    assert len({first, grown, known.of(series)}) == 3


def test_hashes_need_no_writable_folder(tmp_path, read):
    (tmp_path / "file").write_bytes(b"pixels")
    known = FileHashes(tmp_path / "file" / "hashes")
    assert known.of(tmp_path / "file") == known.of(tmp_path / "file")
    assert read == ["file"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no.png cannot be read .*check path"):
        FileHashes(tmp_path).of(tmp_path / "no.png")
