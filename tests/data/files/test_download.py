"""Downloads from a real server on this machine that breaks off, lies and refuses on command."""

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from segexp.data.files.download import DownloadError, RemoteFile, fetch, fetch_all

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SIZE = len(CONTENT)


class Handler(BaseHTTPRequestHandler):
    """Serves server.content; the attributes of the server say how badly."""

    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers["Range"])
        if server.failures:
            self.send_error(server.failures.pop(0))
            return
        start = 0
        if self.headers["Range"] and server.knows_range:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        self.wfile.write(server.content[start : server.cuts.pop(0) if server.cuts else None])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.knows_range, server.failures, server.cuts, server.ranges = CONTENT, True, [], [], []
    server.url = f"http://127.0.0.1:{server.server_port}/a.bin"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def waits():
    return []


@pytest.fixture
def get(server, tmp_path, waits):
    """Fetch the server's file with the right size and hash; the keywords put something wrong in their place."""

    def get(sha256=SHA256, size=SIZE, progress=lambda done: None):
        path = tmp_path / "deep" / "a.bin"
        fetch(RemoteFile(server.url, "deep/a.bin", sha256, size), tmp_path, progress, waits.append)
        return path

    return get


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_whole_file(get, server, tmp_path, waits):
    seen = []
    path = get(progress=seen.append)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]
    assert seen == sorted(seen)
    assert seen[-1] == SIZE
    assert server.ranges == [None]
    assert waits == []


def test_cut_connection_goes_on_where_it_stopped(get, server, waits):
    server.cuts = [100_000, 250_000]
    assert get().read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=250000-"]
    assert waits == [1, 2]


def test_a_later_call_goes_on_from_the_part(get, server, tmp_path):
    server.cuts = [100_000] * 4
    with pytest.raises(DownloadError, match=r"a\.bin cannot be downloaded, 4 attempts failed .*after 100000 of 300000"):
        get()
    assert names(tmp_path) == ["a.bin.part"]
    server.ranges.clear()
    assert get().read_bytes() == CONTENT
    assert server.ranges == ["bytes=100000-"]


def test_a_server_without_range_starts_again(get, server):
    server.cuts, server.knows_range = [100_000], False
    seen = []
    assert get(progress=seen.append).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]
    assert seen[-1] == SIZE


def test_a_complete_part_is_only_checked(get, server, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.bin.part").write_bytes(CONTENT)
    assert get().read_bytes() == CONTENT
    assert server.ranges == []


def test_a_part_that_is_too_long_starts_again(get, server, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.bin.part").write_bytes(CONTENT + b"more")
    assert get().read_bytes() == CONTENT
    assert server.ranges == [None]


def test_wrong_hash_leaves_nothing(get, tmp_path):
    with pytest.raises(DownloadError, match=rf"a\.bin has SHA-256 {SHA256} where {'0' * 64} is expected"):
        get(sha256="0" * 64)
    assert names(tmp_path) == []


def test_more_than_declared_is_refused_without_retry(get, server, tmp_path):
    seen = []
    with pytest.raises(DownloadError, match=r"a\.bin sends more than the expected 1000 bytes"):
        get(size=1000, progress=seen.append)
    assert seen == [], "nothing beyond the declared size is written"
    assert names(tmp_path) == []
    assert len(server.ranges) == 1


def test_not_found_is_final(get, server, waits):
    server.failures = [404]
    with pytest.raises(DownloadError, match=r"a\.bin cannot be downloaded \(HTTP Error 404: Not Found\)"):
        get()
    assert waits == []


def test_a_server_that_recovers(get, server, waits):
    server.failures = [500, 503]
    assert get().read_bytes() == CONTENT
    assert waits == [1, 2]


def test_a_server_that_does_not_recover(get, server, waits):
    server.failures = [500] * 9
    with pytest.raises(DownloadError, match="4 attempts failed .*HTTP Error 500"):
        get()
    assert waits == [1, 2, 4]
    assert len(server.ranges) == 4


def test_nobody_listens(tmp_path, waits):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.bin"
    with pytest.raises(DownloadError, match=r"a\.bin cannot be downloaded, 4 attempts failed .*refused"):
        fetch(RemoteFile(url, "a.bin", SHA256, SIZE), tmp_path, lambda done: None, waits.append)
    assert waits == [1, 2, 4]


def test_all_files_but_those_that_are_there(server, tmp_path):
    files = [RemoteFile(server.url, f"{name}/a.bin", SHA256, SIZE) for name in "abc"]
    for name, content in [("a", CONTENT), ("b", b"broken")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.bin").write_bytes(content)
    fetch_all(files, tmp_path)
    assert all((tmp_path / file.path).read_bytes() == CONTENT for file in files)
    assert len(server.ranges) == 2
    fetch_all(files, tmp_path)
    assert len(server.ranges) == 2


def test_downloads_at_once_wait_for_each_other(server, tmp_path):
    files = [RemoteFile(server.url, f"{index}.bin", SHA256, SIZE) for index in range(8)]
    with ThreadPoolExecutor(3) as pool:  # flock keeps threads apart as it does processes
        for outcome in [pool.submit(fetch_all, files, tmp_path) for _ in range(3)]:
            outcome.result()
    assert all((tmp_path / file.path).read_bytes() == CONTENT for file in files)
    assert len(server.ranges) == 8
    assert names(tmp_path) == [".download.lock", *(file.path for file in files)]


def test_progress_bar_counts_all_bytes(server, tmp_path, capsys):
    fetch_all([RemoteFile(server.url, f"{index}.bin", SHA256, SIZE) for index in range(2)], tmp_path)
    assert "600.0/600.0 kB" in capsys.readouterr().out
