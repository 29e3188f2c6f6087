"""Resumes of a run where one thing has changed since it was stopped: is it refused, or right?"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import write_pairs

from benchmarks.faults.changes import GOES_ON, REFUSED, SAME, WORLDS, World
from benchmarks.faults.commands import digest_of_run
from benchmarks.faults.processes import finish, run_here, start, status_of
from segexp.runs.files import read_table

CASES = 11
WORDS = (
    *("train", "data=folder", "trainer=cpu", "trainer.precision=32-true", "scheduler=constant", "logger=none"),
    *("data.sampling.patch_size=[32,32]", "data.sampling.patches_per_epoch=16", "data.sampling.batch_size=4"),
    *("data.split.val=0.3", "data.split.test=0.3", "model.base_channels=4", "model.depth=2"),
    *("callbacks.progress.enabled=false", "callbacks.panels.enabled=false"),
)


def prepare() -> str:
    """Make data, a run of two epochs, another run, and an unbroken run of three epochs in the present folder.

    Returns:
        Digest of the unbroken run.
    """
    write_pairs(Path("pairs"), CASES)
    places = [f"data.source.{kind}={Path.cwd()}/pairs/{kind}" for kind in ("images", "masks")]
    for name, epochs, seed in (("run", 2, 0), ("other", 2, 1), ("unbroken", 3, 0)):
        more = (f"trainer.max_epochs={epochs}", f"seed={seed}", f"hydra.run.dir={Path.cwd()}/{name}")
        status, _, said = run_here((*WORDS, *places, *more))
        if status != 0:
            raise RuntimeError(said)
    return digest_of_run(Path("unbroken"))


def contents(run: Path) -> dict[str, bytes]:
    """Files of a run, but for the log that each process adds to."""
    return {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file() and path.suffix != ".log"}


def found(world: World, unbroken: str) -> tuple[str, str]:
    """Resume the run in a world.

    Returns:
        What came of it, and the line that told of it.
    """
    world.change()
    run = Path(world.run)
    before = contents(run)
    words = ["train", f"resume={run}", "trainer.max_epochs=3", *world.words]
    status, printed, said = run_apart(words) if world.apart else run_here(words)
    record = (run / "run.json").read_text(errors="replace") if (run / "run.json").is_file() else ""
    lines = [line for text in (said, printed, record) for line in text.splitlines()]
    told = next((line.strip() for line in lines if world.told in line), "")
    if status is None:
        return "traceback", said.strip().splitlines()[-1]
    if not told:
        return "untold", said.strip()
    if status != 0:
        return (REFUSED if contents(run) == before else "refused, but files changed"), told
    if status_of(run) != "done" or [row["epoch"] for row in read_table(run / "metrics.csv")] != ["0", "1", "2"]:
        return "broken", told
    return (SAME if digest_of_run(run) == unbroken else GOES_ON), told


def run_apart(words: list[str]) -> tuple[int | None, str, str]:
    """Run a command in a process of its own; return as `run_here` does."""
    log = Path("printed.log")
    status = finish(start(words, Path.cwd(), {}, log))
    return status, log.read_text(), ""


def restore(kept: Path) -> None:
    """Let the present folder be as it was prepared."""
    for path in Path().iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(kept, Path(), dirs_exist_ok=True)


def judge(worlds: Sequence[World]) -> list[tuple[World, str, str]]:
    """Resume a run in each world; return what came of it, and what told of it."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work, kept = Path(folder, "work"), Path(folder, "kept")
        work.mkdir()
        os.chdir(work)
        os.environ |= {"XDG_STATE_HOME": f"{folder}/state", "SEGEXP_OUTPUT_DIR": f"{folder}/outputs"}
        unbroken = prepare()
        shutil.copytree(work, kept)
        for world in worlds:
            restore(kept)
            rows.append((world, *found(world, unbroken)))
            print(f"{world.name}: {rows[-1][1]}; {rows[-1][2]:.300}", file=sys.stderr, flush=True)
        os.chdir(folder)
    return rows


def told_world(world: World, outcome: str) -> str:
    return world.name if outcome == world.right else f"{world.name} (must be: {world.right})"


def main(given: argparse.Namespace) -> None:
    """Resume in each world, and print what came of it as a table; exit status 1 if one is not right."""
    rows = judge([world for world in WORLDS if not given.only or world.name in given.only])
    print("| what comes of it | worlds | changed since the run was stopped |\n| --- | ---: | --- |")
    for outcome in dict.fromkeys(found for _, found, _ in rows):
        names = [told_world(world, outcome) for world, found, _ in rows if found == outcome]
        print(f"| {outcome} | {len(names)} | {'; '.join(names)} |")
    sys.exit(any(outcome != world.right for world, outcome, _ in rows))
