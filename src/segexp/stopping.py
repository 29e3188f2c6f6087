"""Signals that ask a process to end: it ends in good order, within seconds, with the status that shells expect.

The first signal raises `Stopped` where the process stands; within a training batch it waits for the end of the batch. A
thread ends the process where that does not help: after `GRACE_SECONDS`, as the main thread may be inside of a call that
never returns, such as a sum over processes of which one is gone, or at a second signal.
"""

import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
GRACE_SECONDS = 8.0  # until a process that was asked to end is ended
SECOND_SECONDS = 1.0  # the same, after a second signal
LastWords = Callable[[BaseException], None]


class Stopped(BaseException):
    """A signal asked this process to end; no error, so that ``except Exception`` lets it through.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number
        self.remedy = ""  # command that goes on, where the same command as before would not
        self.status = 128 + number  # exit status, as a shell reports it


class _Process:
    """What this process knows of signals; the module has one."""

    def __init__(self) -> None:
        self.forget()

    def forget(self, name: str = "segexp") -> None:
        self.name = name  # before what it tells
        self.number = 0  # of the first signal; 0 = none came
        self.deferring = False
        self.follows = False
        self.grace: float | None = GRACE_SECONDS
        self.last_words: list[LastWords] = []

    def on_signal(self, number: int, _: FrameType | None) -> None:
        ending = bool(self.number) and self.grace is not None  # already, and the thread sees to it
        self.number = self.number or number
        if not (ending or self.deferring or self.follows):
            raise Stopped(number)

    def watch(self, pipe: int, parent: int) -> None:
        """End the process if it does not end by itself, or if the process that it follows is gone."""
        deadline: float | None = None
        first = 0
        while True:
            wait = 1.0 if deadline is None else max(0.0, deadline - time.monotonic())
            ready = select.select([pipe], [], [], min(wait, 1.0))[0]
            numbers = os.read(pipe, 64) if ready else b""
            if ready and not numbers:  # closed: signals are heeded no more
                os.close(pipe)
                return
            if self.follows and os.getppid() != parent:
                os._exit(1)
            for number in numbers:
                if number in SIGNALS and self.grace is not None:
                    grace = SECOND_SECONDS if first else self.grace
                    deadline = min(deadline or math.inf, time.monotonic() + grace)
                    first = first or number
            if deadline is not None and time.monotonic() >= deadline:
                end_at_once(Stopped(first), 128 + first)


_process = _Process()


@contextmanager
def heeded(name: str = "segexp", process_ends: bool = True) -> Iterator[None]:
    """Heed signals inside; in the main thread alone, as Python allows no other.

    Args:
        name: Name of the process, before what it tells.
        process_ends: Whether a signal means the end of the process; else it lives on, whatever time it takes, and
            signals are nobody's business here afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _process.forget(name)
    if not process_ends:
        without_deadline()
    # Who started the process with nohup wants it to outlive the terminal.
    numbers = [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    earlier = {number: signal.signal(number, _process.on_signal) for number in numbers}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_process.watch, args=(reader, os.getppid()), daemon=True)
    thread.start()
    try:
        yield
    finally:
        if not (process_ends and _process.number):  # else the thread watches over the rest of the process, too
            signal.set_wakeup_fd(wakeup)
            for number, handler in earlier.items():
                signal.signal(number, handler)
            os.close(writer)
            thread.join()
            _process.forget(name)


def _leave_to_parent() -> None:
    """In a forked process, such as a worker that loads data: it ends when its parent says so."""
    if signal.getsignal(signal.SIGTERM) == _process.on_signal:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:  # not SIG_IGN, which a program that it starts would inherit
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else _pass_over)


def _pass_over(*_: object) -> None:
    """Do nothing."""


os.register_at_fork(after_in_child=_leave_to_parent)


def requested() -> int:
    """Number of the signal that asked this process to end; 0 = none did."""
    return _process.number


def defer(until_checked: bool = True) -> None:
    """Let a signal wait for `check`, or no longer wait."""
    _process.deferring = until_checked


def check(number: int | None = None) -> None:
    """End a time of deferring.

    Args:
        number: Number of the signal that came, where processes agreed on it; None = that of this process.

    Raises:
        Stopped: A signal has come.
    """
    _process.deferring = False
    number = _process.number if number is None else number
    if number:
        raise Stopped(number)


def cause(error: BaseException) -> BaseException:
    """What ended this process: a signal, where one came, also if its exception broke something else on its way."""
    return error if isinstance(error, Stopped) or not _process.number else Stopped(_process.number)


def follow() -> None:
    """Let signals wait until the first of several processes ends this one; if it does not, the deadline does."""
    _process.follows = True


def without_deadline() -> None:
    """Let this process take its time to end: it waits for others, which have deadlines."""
    _process.grace = None


@contextmanager
def last_words(words: LastWords) -> Iterator[None]:
    """Call a function with the reason if the process must be ended at once inside."""
    _process.last_words.append(words)
    try:
        yield
    finally:
        _process.last_words.remove(words)


def end_at_once(reason: BaseException, status: int) -> NoReturn:
    """End this process from any thread, whatever the main thread does."""
    for words in reversed(_process.last_words):
        with suppress(Exception):
            words(reason)
    give_up(f"{reason}{getattr(reason, 'remedy', '')}", status)


def give_up(sentence: str, status: int = 1) -> NoReturn:
    """End this process from any thread with one sentence, and let it write nothing more."""
    with suppress(Exception):
        if not _process.follows:
            print(f"{_process.name}: {sentence}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
