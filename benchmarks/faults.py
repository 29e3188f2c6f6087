"""Faults on purpose: processes are killed, started again, and what comes out is compared with an unbroken run.

python -m benchmarks.faults kills --count 300                 # prints the table of docs/reliability.md
python -m benchmarks.faults kills --count 20 --kinds ddp --tmpdir /dev/shm
python -m benchmarks.faults damage --count 200
python -m benchmarks.faults hostile --count 400
"""

import argparse
import fnmatch
import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.damage import damage
from benchmarks.hostile import run as hostile
from segexp.runs.files import read_table

ROOT = Path(__file__).parents[1]
TINY = (
    *("trainer=cpu", "trainer.precision=32-true", "data.source.size=[48,48]", "data.source.count=9"),
    *("data.split.val=3-5", "data.split.test=6-8", "data.sampling.patch_size=[32,32]"),
    *("data.sampling.patches_per_epoch=16", "data.sampling.batch_size=4", "model.base_channels=4", "model.depth=2"),
    *("callbacks.progress.enabled=false", "hydra.launcher.jobs_at_once=1", "hydra.launcher.threads_per_job=1"),
)
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STATUSES = {-signal.SIGKILL, 128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM, -signal.SIGINT}
END_SECONDS = 20.0  # after which a process that was asked to end counts as hanging
CLOCKS = ("seconds", "validation_seconds", "train/patches_per_second")  # columns that no two runs share
# Files whose making, in a moment that is hit seldom by chance, is waited for.
WATCHED = (
    "run.json",
    "metrics.csv",
    "last.ckpt",
    "best.ckpt",
    "results.json",
    "cases.csv",
    "*.part*",
    ".part-*",
    "ledger.jsonl",
)


@dataclass(frozen=True)
class Kind:
    """A command whose process is killed.

    Args:
        words: Its words, given the folder of its outputs.
        resumed: Words that go on after a kill; None = the same ones.
        digests: What came out, by name.
    """

    words: Callable[[Path], list[str]]
    digests: Callable[[Path], dict[str, str]]
    resumed: Callable[[Path], list[str]] | None = None


@dataclass
class Count:
    """What became of the kills of one kind by one signal; ``ends`` are seconds from the signal to the end."""

    found: Counter[str] = field(default_factory=Counter)
    ends: list[float] = field(default_factory=list)


def train_words(*more: str) -> Callable[[Path], list[str]]:
    return lambda folder: ["train", *TINY, "trainer.max_epochs=3", f"hydra.run.dir={folder}/run", *more]


def resume_words(*more: str) -> Callable[[Path], list[str]]:
    def words(folder: Path) -> list[str]:
        run = folder / "run"
        if (run / "results.json").is_file() and status_of(run) == "done":
            return []
        there = (run / "checkpoints" / "last.ckpt").is_file()
        return ["train", f"resume={run}"] if there else train_words(*more)(folder)

    return words


def sweep_words(*more: str) -> Callable[[Path], list[str]]:
    return lambda folder: ["train", "-m", *TINY, "trainer.max_epochs=2", f"hydra.sweep.dir={folder}/sweep", *more]


def digests_of_runs(folder: Path) -> dict[str, str]:
    """Digest of metrics, curves and weights of every run that has ended well."""
    found = {}
    for record in folder.rglob("run.json"):
        run = record.parent
        if status_of(run) != "done":
            continue
        results = json.loads((run / "results.json").read_text())
        scores = {split: results[split] for split in ("val", "test")}
        rows = [
            {key: value for key, value in row.items() if key not in CLOCKS} for row in read_table(run / "metrics.csv")
        ]
        weights = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        content = repr([scores, rows, [(name, value.tolist()) for name, value in weights.items()]])
        found[run.name] = hashlib.sha256(content.encode()).hexdigest()[:16]
    return found


def digests_of_masks(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in (folder / "masks").glob("*.tif")}


def status_of(run: Path) -> str:
    with suppress(OSError, ValueError):
        return str(json.loads((run / "run.json").read_text())["status"])
    return ""


def kinds_in(folder: Path) -> dict[str, Kind]:
    """All kinds; predict needs a trained run and images, which are made in the folder."""

    def predict_words(out: Path) -> list[str]:
        run, images = prepare_prediction(folder)
        return ["predict", f"run={run}", f"input={images}", f"output={out}/masks", "device=cpu", "tile=64"]

    study = (
        "hydra/sweeper=optuna",
        "hydra.sweeper.trials=2",
        "hydra/sweeper/pruner=none",
        "optimizer.lr=interval(1e-3,1e-2)",
    )
    return {
        "single": Kind(train_words(), digests_of_runs, resume_words()),
        "ddp": Kind(train_words("trainer=ddp_cpu"), digests_of_runs, resume_words("trainer=ddp_cpu")),
        "sweep": Kind(sweep_words("seed=1,2"), digests_of_runs),
        "study": Kind(sweep_words(*study), digests_of_runs),
        "predict": Kind(predict_words, digests_of_masks),
    }


def prepare_prediction(folder: Path) -> tuple[Path, Path]:
    import numpy as np
    import tifffile

    images = folder / "images"
    if not images.is_dir():
        finish(start(train_words()(folder / "trained"), folder, None))
        images.mkdir()
        for index in range(12):
            pixels = np.random.default_rng(index).integers(0, 255, (256, 256), np.uint8)
            tifffile.imwrite(images / f"{index}.tif", pixels)
    return folder / "trained" / "run", images


def start(words: list[str], folder: Path, tmpdir: str | None) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}", "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    env |= {"TMPDIR": tmpdir} if tmpdir else {}
    env |= {"SEGEXP_OUTPUT_DIR": str(folder / "outputs")}
    with (folder / "printed.log").open("ab") as log:
        command = [sys.executable, "-m", "segexp", *words]
        return subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)


def finish(process: subprocess.Popen[bytes], seconds: float = 600) -> int | None:
    """Wait for the end, and end what is left of its group; None = it hung."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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


def kill(
    kind: Kind,
    folder: Path,
    whole: dict[str, str],
    seconds: float,
    number: int,
    draw: random.Random,
    tmpdir: str | None,
) -> tuple[str, float]:
    """Kill once or twice, go on, and compare.

    Returns:
        Verdict, and seconds until the killed process had ended.
    """
    words, ended = kind.words(folder), 0.0
    for _ in range(draw.choice((1, 1, 2))):
        process = start(words, folder, tmpdir)
        wait_for_moment(process, folder, seconds, draw)
        begun = time.monotonic()
        process.send_signal(number)
        status = finish(process, END_SECONDS)
        ended = max(ended, time.monotonic() - begun)
        if status is None:
            return "hung", ended
        if status not in STATUSES | {0}:
            return f"status {status}", ended
        words = kind.resumed(folder) if kind.resumed else kind.words(folder)
        if not words:
            break
    if words and finish(start(words, folder, tmpdir)) != 0:
        return "unresumable", ended
    found = kind.digests(folder)
    if found.keys() != whole.keys():
        return "lost", ended
    return "same" if found == whole else "wrong", ended


def kills(given: argparse.Namespace) -> None:
    """Kill processes of each kind in turn, and print what became of it as a table."""
    draw = random.Random(given.seed)
    counts: dict[tuple[str, str], Count] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        place = Path(name)
        kinds = {name: kind for name, kind in kinds_in(place).items() if name in given.kinds}
        whole: dict[str, tuple[dict[str, str], float]] = {}
        for name, kind in kinds.items():
            words = kind.words(place / name)
            begun = time.monotonic()
            assert finish(start(words, place / name, given.tmpdir)) == 0, (place / name / "printed.log").read_text()
            whole[name] = kind.digests(place / name), time.monotonic() - begun
        until = time.monotonic() + 60 * given.minutes
        for index in range(given.count):
            if time.monotonic() > until:
                break
            name, number = list(kinds)[index % len(kinds)], SIGNALS[index // len(kinds) % len(SIGNALS)]
            folder = place / f"{name}-{index}"
            verdict, ended = kill(kinds[name], folder, *whole[name], number, draw, given.tmpdir)
            count = counts.setdefault((name, signal.Signals(number).name), Count())
            count.found[verdict] += 1
            count.ends.append(ended)
            print(f"{index + 1} {name} {number.name}: {verdict}, ended after {ended:.1f} s", file=sys.stderr)
            if verdict == "same":
                shutil.rmtree(folder)
            elif given.keep:
                shutil.move(folder, given.keep)
    print_counts(counts)


def print_counts(counts: dict[tuple[str, str], Count]) -> None:
    print("| command | signal | kills | lost | wrong | unresumable | hung or another status | slowest end |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (name, number), count in sorted(counts.items()):
        known = [count.found[verdict] for verdict in ("lost", "wrong", "unresumable")]
        other = count.found.total() - sum(known) - count.found["same"]
        cells = [name, number, count.found.total(), *known, other, f"{max(count.ends):.1f} s"]
        print(f"| {' | '.join(map(str, cells))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    faults = parser.add_subparsers(required=True)
    of_kills = faults.add_parser("kills", help="SIGKILL, SIGTERM and SIGINT at random and at watched moments")
    of_kills.add_argument("--count", type=int, default=300, help="number of kills in all; default: 300")
    of_kills.add_argument("--minutes", type=float, default=math.inf, help="time after which no more are begun")
    of_kills.add_argument("--kinds", nargs="+", default=["single", "ddp", "sweep", "study", "predict"])
    of_kills.add_argument("--folder", help="folder on the disk to test; default: that of temporary files")
    of_kills.add_argument("--tmpdir", help="TMPDIR of the killed processes, such as one on another disk")
    of_kills.add_argument("--keep", help="folder that receives what did not come out the same")
    of_kills.add_argument("--seed", type=int, default=0)
    of_kills.set_defaults(run=kills)
    of_damage = faults.add_parser("damage", help="files with flipped bits, cut off, emptied or swapped")
    of_damage.add_argument("--count", type=int, default=200, help="number of damaged files; default: 200")
    of_damage.add_argument("--seed", type=int, default=0)
    of_damage.set_defaults(run=damage)
    of_hostile = faults.add_parser("hostile", help="runs, packages, sweeps, data and pages of a stranger")
    of_hostile.add_argument("--count", type=int, default=400, help="number of hostile files; default: 400")
    of_hostile.add_argument("--seed", type=int, default=0)
    of_hostile.set_defaults(run=hostile)
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
