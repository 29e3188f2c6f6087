"""Real processes that real signals end: where they stand, after a batch, inside of a call that never returns."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
START = """
import ctypes, os, signal, subprocess, sys, threading, time
from segexp import stopping

def say(word):
    print(word, flush=True)

def hang():
    "Lock a mutex twice: a call that no signal interrupts."
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    threading.Timer(1, say, ["ready"]).start()
    libc.pthread_mutex_lock(mutex)

stopping.GRACE_SECONDS = 1.0
"""


def started(script: str, **more) -> subprocess.Popen[str]:
    """Start a script, and wait until it says that it is ready."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-c", START + script]
    process = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    assert process.stdout.readline() == "ready\n", process.communicate()
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_the_first_signal_ends_a_process_where_it_stands(number):
    process = started("""
try:
    with stopping.heeded():
        say("ready")
        time.sleep(60)
except stopping.Stopped as stop:
    say(stop)
    sys.exit(stop.status)
""")
    process.send_signal(number)
    assert ended(process) == (128 + number, f"stopped by {number.name}\n", "")


def test_a_signal_within_a_batch_waits_for_its_end():
    process = started("""
try:
    with stopping.heeded():
        stopping.defer()
        say("ready")
        while not stopping.requested():
            time.sleep(0.01)
        say("the batch ends")
        stopping.check()
except stopping.Stopped:
    sys.exit("stopped")
""")
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (1, "the batch ends\n", "stopped\n")


def test_a_call_that_never_returns_is_ended_with_last_words():
    process = started("""
def words(reason):
    reason.remedy = "; go on"
    say(f"noted: {reason}")
with stopping.heeded(), stopping.last_words(words):
    hang()
""")
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (143, "noted: stopped by SIGTERM\n", "segexp: stopped by SIGTERM; go on\n")
    assert time.monotonic() - begun < 30


def test_a_second_signal_ends_at_once():
    process = started("""
stopping.GRACE_SECONDS = 1000.0
with stopping.heeded():
    hang()
""")
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 130


def test_what_a_signal_breaks_on_its_way_is_not_the_cause():
    process = started("""
try:
    with stopping.heeded():
        try:
            say("ready")
            time.sleep(60)
        finally:
            raise ValueError("a library was in the middle of something")
except ValueError as error:
    sys.exit(stopping.cause(error).status)
""")
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143


def test_a_driver_takes_its_time():
    process = started("""
try:
    with stopping.heeded():
        stopping.without_deadline()
        say("ready")
        time.sleep(60)
except stopping.Stopped:
    time.sleep(2.5)  # its jobs end meanwhile
    sys.exit(7)
""")
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 7


def test_nohup_is_respected():
    process = started(
        """
with stopping.heeded():
    say("ready")
    time.sleep(1)
say("lived on")
""",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    process.send_signal(signal.SIGHUP)
    assert ended(process)[:2] == (0, "lived on\n")


def test_a_forked_worker_leaves_signals_to_its_parent():
    """As Ctrl-C reaches them all: the worker says nothing, and the parent has received one signal, not two."""
    process = started(
        """
import multiprocessing

def work(pipe):
    pipe.send("ready")
    time.sleep(60)

try:
    with stopping.heeded():
        mine, other = multiprocessing.Pipe()
        worker = multiprocessing.get_context("fork").Process(target=work, args=(other,))
        worker.start()
        say(mine.recv())
        time.sleep(60)
except stopping.Stopped as stop:
    time.sleep(0.5)
    assert worker.is_alive()
    worker.terminate()
    sys.exit(stop.status)
""",
        start_new_session=True,
    )
    os.killpg(process.pid, signal.SIGINT)
    assert ended(process) == (130, "", "")


def test_a_follower_leaves_signals_to_the_first_process_and_ends_with_it():
    process = started("""
follower = '''
import os, sys, time
from segexp import stopping
stopping.GRACE_SECONDS = 1000.0
with stopping.heeded():
    stopping.follow()
    print(os.getpid(), flush=True)
    time.sleep(100)
'''
child = subprocess.Popen([sys.executable, "-c", follower], stdout=subprocess.PIPE)
pid = int(child.stdout.readline())
say("ready")
say(pid)
child.wait()
""")
    pid = int(process.stdout.readline())
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.5)
    assert alive(pid)
    process.kill()
    process.communicate()
    eventually(lambda: not alive(pid))


def alive(pid: int) -> bool:
    try:
        return f"/proc/{pid}" and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def eventually(there: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_handlers_are_those_of_before_afterwards(monkeypatch):
    from segexp import stopping

    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with stopping.heeded():
        assert signal.getsignal(signal.SIGTERM) not in before
        assert stopping.requested() == 0
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before
