"""When a command began: with the process that was started for it, so that imports count."""

import os
import time
from pathlib import Path

_noted: list[float] = []  # times at which commands of this process began that have not been asked for yet
_known: list[int] = []  # processes that have noted one


def note_command() -> None:
    """Note that the command line is at work; the first command of a process began when the process did."""
    first = os.getpid() not in _known
    _known.append(os.getpid())
    _noted[:] = [time.monotonic() - (_age() if first else 0.0)]


def begun() -> float:
    """Time at which the present work began, as `time.monotonic` tells it: the command; of a call from Python, now."""
    return _noted.pop() if _noted else time.monotonic()


def _age() -> float:
    """Seconds since this process was created; 0 where the system does not tell."""
    try:
        # The name, in parentheses, may hold spaces; the 20th word behind it is the start, in ticks since boot.
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
