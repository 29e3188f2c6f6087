"""Hostile files on purpose: a stranger's run, package, sweep, study, data set or page, and every verb that opens it.

python -m benchmarks.faults hostile --count 400               # prints the table of docs/reliability.md

A case takes a good folder, puts something hostile into one of its files, and gives it to a command in this process.
What must not happen: code of the file is run, a traceback, a secret of the environment in an output or a file, a
control character in what is printed, a wait without end, a change outside of the folder.
"""

import argparse
import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.faults import hostile_files, hostile_records
from benchmarks.faults.hostile_content import STUDY, TINY, Case
from segexp.cli import main as segexp

SECRET = "s3cr3t-0f-the-env1ronment"
VARIABLE = "HOSTILE_CASE"  # its name does not give it away
SECONDS = 120


@dataclass
class Watch:
    """What happened during a case, as an audit hook of Python sees it."""

    armed: bool = False
    allowed: str = ""
    events: list[str] = field(default_factory=list)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note what runs a program or reaches another machine."""
        if not self.armed:
            return
        if event in ("os.system", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo", "pty.spawn"):
            self.events.append(f"{event} {arguments}")
        elif event == "subprocess.Popen" and not str(arguments[1]).startswith(
            ("['git'", "['nvidia-smi'", f"['{sys.executable}'")
        ):
            self.events.append(f"{event} {arguments[1]}")


WATCH = Watch()


def prepare(folder: Path) -> Path:
    """Make the good folder: a trained run, a package, an image, a page of tables."""
    home = folder / "good"
    home.mkdir(parents=True)
    run_command(["train", *TINY, f"hydra.run.dir={home}/run"])
    run_command(["export", f"run={home}/run", f"output={home}/model.safetensors"])
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save(home / "scan.png")
    (home / "README.md").write_text(f"# x\n\n<!-- segexp: compare {home} -->\n<!-- /segexp -->\n")
    (home / "sweep").mkdir()
    with contextlib.chdir(home):
        run_command(STUDY.split())  # trains once
    if not (home / "study" / "study.csv").is_file():
        raise RuntimeError("the study of good files failed")
    line = {"time": "t", "job": "a", "name": "b", "state": "done", "driver": "d"}
    (home / "sweep" / "ledger.jsonl").write_text(json.dumps(line) + "\n")
    return home


def run_command(words: list[str]) -> tuple[object, str]:
    """Run a command of segexp in this process; return what ended it other than an exit, and what it printed."""
    kept, printed = sys.argv, io.StringIO()
    sys.argv = ["segexp", *words]
    fault: object = None
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            segexp()
    except SystemExit:
        pass
    except BaseException as error:
        fault = error
    finally:
        sys.argv = kept
    return fault, printed.getvalue()


def cases(draw: random.Random) -> Iterator[Case]:
    """Draw cases without end, each kind in turn."""
    makers = (
        hostile_records.of_words,
        hostile_records.of_values,
        hostile_records.of_values,
        hostile_records.of_raw,
        hostile_records.of_cells,
        hostile_records.of_names,
        hostile_files.of_checkpoints,
        hostile_files.of_packages,
        hostile_files.of_data,
        hostile_files.of_files,
        hostile_files.of_studies,
    )
    while True:
        for maker in makers:
            yield maker(draw)


def judge(case: Case, good: Path, folder: Path) -> list[str]:
    """Run a case in a copy; return what must not happen, of what did."""
    home = folder / "home"
    shutil.copytree(good, home, symlinks=True)
    victim = folder / "victim"
    victim.mkdir()
    (victim / "file").write_text(SECRET)
    run = home / case.run
    (home / "run").rename(run)
    (run / "checksums.json").unlink(missing_ok=True)  # else a changed file is refused before it is read
    case.make(run)
    places = {"R": str(run), "P": str(home)}
    words = [re.sub(r"\b[RP]\b", lambda found: places[found[0]], word) for word in case.words.split()]
    before = set(os.listdir(folder.parent))
    fault, printed = _watched(words, home)
    found = [] if fault is None else [f"traceback: {fault!r:.200}"]
    found += [f"code: {event:.200}" for event in WATCH.events]
    written = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    if SECRET in printed or any(SECRET.encode() in path.read_bytes() for path in written):
        found.append("leak")
    if any(not one.isprintable() and one not in "\n\t" for one in printed):
        found.append("terminal")
    moved = (victim / "file").read_text() != SECRET or len(os.listdir(victim)) != 1
    if list(folder.rglob("canary")) or moved or set(os.listdir(folder.parent)) != before:
        found.append("outside")
    if not found and not printed.strip() and case.words.split()[0] != "evaluate":
        found.append("silent")
    if os.environ.get("HOSTILE_SHOW"):
        print(case, printed[-400:].encode("unicode_escape").decode(), file=sys.stderr)
    return found


def _watched(words: list[str], home: Path) -> tuple[object, str]:
    def stop(*_: object) -> None:
        raise TimeoutError("waited without end")

    cwd = os.getcwd()
    os.chdir(home)
    WATCH.events.clear()
    WATCH.armed = True
    kept = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        return run_command(words)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, kept)
        WATCH.armed = False
        os.chdir(cwd)


def hostile(count: int, seed: int, show: bool = True) -> tuple[dict[str, Counter[str]], list[str]]:
    """Judge cases.

    Args:
        count: Number of cases.
        seed: Seed of what is drawn.
        show: Whether to print failures as they come.

    Returns:
        Per kind the number of tries and of each thing that must not happen; the failures in words.
    """
    sys.addaudithook(WATCH)
    os.environ[VARIABLE] = SECRET
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()
    table: dict[str, Counter[str]] = {}
    failures = []
    with tempfile.TemporaryDirectory() as name:
        good = prepare(Path(name))
        drawn = cases(random.Random(seed))
        for number in range(count):
            case = next(drawn)
            folder = Path(name) / f"case{number}"
            folder.mkdir()
            counts = table.setdefault(case.kind, Counter())
            counts["tries"] += 1
            for what in judge(case, good, folder):
                counts[what.partition(":")[0]] += 1
                failures.append(f"{number} {case.kind} | {case.words} | {case.what} | {what}")
                if show:
                    print(failures[-1].encode("unicode_escape").decode(), file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
    return table, failures


def print_table(table: dict[str, Counter[str]]) -> None:
    """Print one row per kind, as Markdown."""
    heads = ("tries", "code", "traceback", "leak", "terminal", "outside", "silent")
    print(f"| hostile | {' | '.join(heads)} |\n| --- |{' ---: |' * len(heads)}")
    for kind, counts in [*table.items(), ("all", sum(table.values(), Counter()))]:
        print(f"| {kind} | {' | '.join(str(counts[head]) for head in heads)} |")


def main(given: argparse.Namespace) -> None:
    """Judge as many cases as asked for, and print the table; exit status 1 if anything happened that must not."""
    table, failures = hostile(given.count, given.seed)
    print_table(table)
    sys.exit(bool(failures))
