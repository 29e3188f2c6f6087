"""Jobs that begin as copies of a process in which everything is loaded, so that they need not load it.

Every job is a process of its own, with the memory of one that has done nothing but import.
"""

import ctypes
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segexp.sweeps.template import LARGEST

_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
ANSWER_SECONDS = 120.0  # after which a template counts as stuck
_log = logging.getLogger(__name__)


class ForkedProcess:
    """A job that a template made; this process is its parent. Like ``subprocess.Popen`` as far as jobs need it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Exit status, negative for the signal that ended it; None while it runs."""
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has asked for it
                ended, status = self.pid, 1 << 8
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Template:
    """Starts jobs as copies of a process that waits for them; where that cannot be, says so once and starts none.

    Args:
        environment: Variables of that process. A job may have others, but for those that are read when libraries are
            loaded, such as OMP_NUM_THREADS.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._line: socket.socket | None = None
        self._process: subprocess.Popen | None = None
        self._ready = False
        if not _adopts_orphans():
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "segexp.sweeps.template", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        ours.settimeout(ANSWER_SECONDS)
        self._line = ours

    def start(
        self, words: Sequence[str], environment: Mapping[str, str], log: int, claim: int
    ) -> "tuple[ForkedProcess, int] | None":
        """Make a job.

        Args:
            words: Arguments of ``python -m segexp``.
            environment: Its variables.
            log: Open file of its output.
            claim: Open file of its claim, which it keeps.

        Returns:
            The process, and a gate: it begins once a byte is written there. None where there is no template.
        """
        if self._line is None or not self._wait():
            return None
        waiting, gate = os.pipe()
        try:
            request = {"words": list(words), "environment": dict(environment), "folder": str(Path.cwd())}
            message = json.dumps(request).encode()
            if len(message) > LARGEST // 8:
                raise OSError(f"{len(message)} bytes of arguments and environment are too many for it")
            socket.send_fds(self._line, [message], [log, claim, waiting])
            answer: dict[str, Any] = json.loads(self._line.recv(LARGEST))
        except (OSError, ValueError) as error:
            os.close(gate)
            self._give_up(str(error) or "it ended")
            return None
        except BaseException:  # a signal: a copy that was made meanwhile ends at the closed gate
            os.close(gate)
            raise
        finally:
            os.close(waiting)
        return ForkedProcess(int(answer["pid"])), gate

    def close(self) -> None:
        """End it; the jobs go on."""
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None:
            self._process.kill()  # it has nothing to lose, and one that was stopped heeds nothing else
            self._process.wait()
            self._process = None

    def _wait(self) -> bool:
        """Wait until it has loaded everything."""
        if not self._ready and self._line is not None:
            try:
                why = json.loads(self._line.recv(LARGEST))["unfit"]
            except TimeoutError:
                why = f"it has not loaded everything within {ANSWER_SECONDS:.0f} s"
            except (OSError, ValueError):
                why = "it ended before it had loaded everything"
            if why:
                self._give_up(why)
                return False
            self._ready = True
        return True

    def _give_up(self, why: str) -> None:
        _log.warning(f"jobs start as fresh processes, not as copies of one that has loaded everything: {why}")
        self.close()


def _adopts_orphans() -> bool:
    """Let processes whose parents are gone become children of this one, so that it learns how they end."""
    try:
        return ctypes.CDLL(None, use_errno=True).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0) == 0
    except (OSError, AttributeError):  # not Linux
        return False
