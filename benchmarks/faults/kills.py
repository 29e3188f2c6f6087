"""Processes are killed, started again, and what comes out is compared with an unbroken run."""

import argparse
import fnmatch
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.commands import Kind, kinds_in
from benchmarks.faults.disks import DISKS, Disk
from benchmarks.faults.processes import finish, start

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STATUSES = {0, -signal.SIGKILL, 128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM, -signal.SIGINT}
END_SECONDS = 60.0  # after which a process that was asked to end counts as hanging, on a busy machine too
# Files whose making, in a moment that is hit seldom by chance, is waited for.
WATCHED = (
    *("run.json", "metrics.csv", "last.ckpt", "best.ckpt", "results.json", "cases.csv", "*.part*", ".part-*"),
    "ledger.jsonl",
)


@dataclass
class Count:
    """What became of the kills of one kind by one signal; ``ends`` are seconds from the signal to the end."""

    found: Counter[str] = field(default_factory=Counter)
    ends: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Whole:
    """What comes out of an unbroken command: digests by name, seconds that it takes, bytes that it writes."""

    digests: Mapping[str, str]
    seconds: float
    size: int


@dataclass(frozen=True)
class Killer:
    """What all kills of a campaign share: the disk, variables of the processes, and what is drawn from."""

    disk: Disk
    env: Mapping[str, str]
    draw: random.Random

    def start(self, words: list[str], folder: Path) -> subprocess.Popen[bytes]:
        return start(words, folder, {**self.env, **self.disk.env(folder)}, log_of(folder))

    def unbroken(self, kind: Kind, folder: Path) -> Whole:
        words, begun = kind.words(folder), time.monotonic()
        if finish(start(words, folder, self.env, log_of(folder))) != 0:
            raise RuntimeError(log_of(folder).read_text())
        seconds = time.monotonic() - begun
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return Whole(kind.digests(folder), seconds, size)

    def kill(self, kind: Kind, folder: Path, whole: Whole, number: int) -> tuple[str, float]:
        """Kill once or twice, go on, and compare.

        Returns:
            Verdict, and seconds until the killed process had ended.
        """
        words, ended = kind.words(folder), 0.0
        for _ in range(self.draw.choice((1, 1, 2))):
            self.disk.before(folder, whole.size, self.draw)
            process = self.start(words, folder)
            wait_for_moment(process, folder, whole.seconds, self.draw)
            begun = time.monotonic()
            process.send_signal(number)
            status = finish(process, END_SECONDS)
            ended = max(ended, time.monotonic() - begun)
            self.disk.after(folder)
            if status is None:
                return "hung", ended
            if status not in STATUSES and not self.excused(status, folder):
                return f"status {status}", ended
            words = kind.resumed(folder) if kind.resumed else kind.words(folder)
            if not words:
                break
            words += kind.again if self.disk.excuse else ()
        if words and finish(self.start(words, folder)) != 0:
            return "unresumable", ended
        found = kind.digests(folder)
        if found.keys() != whole.digests.keys():
            return "lost", ended
        return "same" if found == whole.digests else "wrong", ended

    def excused(self, status: int, folder: Path) -> bool:
        """Whether a process ended by itself, for a reason of its disk that it told."""
        return status == 1 and bool(self.disk.excuse) and self.disk.excuse in log_of(folder).read_text(errors="replace")


def log_of(folder: Path) -> Path:
    """Path to what is printed, beside the folder: on a disk that is not full."""
    return folder.with_name(f"{folder.name}.log")


def wait_for_moment(process: subprocess.Popen[bytes], folder: Path, seconds: float, draw: random.Random) -> str:
    """Wait for a random time, or until a file of a kind is made or written anew; return what was waited for."""
    pattern = draw.choice((None, None, *WATCHED))
    until = time.monotonic() + (draw.uniform(0, seconds) if pattern is None else seconds)
    times = draw.randint(1, 3)
    before: set[tuple[str, int]] = set()
    while process.poll() is None and time.monotonic() < until:
        seen = states_of(folder, pattern) if pattern else set()
        times -= bool(seen - before)
        before |= seen
        if times == 0:
            break
        time.sleep(0.002)
    return pattern or "a random time"


def states_of(folder: Path, pattern: str) -> set[tuple[str, int]]:
    """Names and times of the files that match; some may go while they are looked at."""
    found = set()
    for base, _, names in os.walk(folder):
        for name in fnmatch.filter(names, pattern):
            with suppress(OSError):
                found.add((f"{base}/{name}", os.stat(f"{base}/{name}").st_mtime_ns))
    return found


def main(given: argparse.Namespace) -> None:
    """Kill processes of each kind in turn, and print what became of it as a table; exit status 1 if all is not well."""
    counts = campaign(given)
    print_counts(counts)
    sys.exit(any(verdict != "same" for count in counts.values() for verdict in count.found))


def campaign(given: argparse.Namespace) -> dict[tuple[str, str], Count]:
    """Kill processes of each kind in turn; count what became of them, by kind and signal."""
    env = {"TMPDIR": given.tmpdir} if given.tmpdir else {}
    killer = Killer(DISKS[given.world], env, random.Random(given.seed))
    counts: dict[tuple[str, str], Count] = {}
    until = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        place = Path(name)
        kinds = {name: kind for name, kind in kinds_in(place).items() if name in given.kinds}
        whole = {name: killer.unbroken(kind, place / name) for name, kind in kinds.items()}
        for index in range(given.count):
            if time.monotonic() > until:
                break
            name, number = list(kinds)[index % len(kinds)], SIGNALS[index // len(kinds) % len(SIGNALS)]
            folder = place / f"{name}-{index}"
            with killer.disk.around(folder):
                verdict, ended = killer.kill(kinds[name], folder, whole[name], number)
                if verdict != "same" and given.keep:
                    shutil.copytree(folder, Path(given.keep, folder.name), symlinks=True)
                    shutil.copy(log_of(folder), given.keep)
            shutil.rmtree(folder, ignore_errors=True)
            count = counts.setdefault((name, number.name), Count())
            count.found[verdict] += 1
            count.ends.append(ended)
            print(
                f"{index + 1} {name} {number.name}: {verdict}, ended after {ended:.1f} s", file=sys.stderr, flush=True
            )
    return counts


def print_counts(counts: Mapping[tuple[str, str], Count]) -> None:
    print("| command | signal | kills | lost | wrong | unresumable | hung or another status | slowest end |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (name, number), count in sorted(counts.items()):
        known = [count.found[verdict] for verdict in ("lost", "wrong", "unresumable")]
        other = count.found.total() - sum(known) - count.found["same"]
        cells = [name, number, count.found.total(), *known, other, f"{max(count.ends):.1f} s"]
        print(f"| {' | '.join(map(str, cells))} |")
