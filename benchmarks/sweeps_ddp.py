"""The same 2 x 2 grid under DDP with Hydra's basic launcher and with ours: what each leaves.

    python -m benchmarks.sweeps_ddp                   # writes its findings into docs/sweeps_ddp.md

segexp refuses the basic launcher with DDP. With words behind it this module is `segexp train` without that refusal:
Lightning starts the further processes of a job by running the same module with the same words.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.tables import put_between

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "sweeps_ddp.md"
COMMON = (
    *("trainer=ddp_cpu", "trainer.precision=32-true", "trainer.max_epochs=2", "data.source.size=[48,48]"),
    *("data.source.count=9", "data.split.val=3-5", "data.split.test=6-8", "data.sampling.patch_size=[32,32]"),
    *("data.sampling.patches_per_epoch=16", "data.sampling.batch_size=4", "model.base_channels=4", "model.depth=2"),
    "callbacks.progress.enabled=false",
)
GRIDS = {
    "Four sound jobs": ("loss=ce,dice", "seed=1,2"),
    "The first two of four diverge": ("optimizer.lr=1e30,0.003", "seed=1,2"),
}
LAUNCHERS = {  # heading: launcher, folder of the sweep
    "basic launcher, folder as in Hydra's defaults": ("basic", "by_time/${now:%H-%M-%S}"),
    "basic launcher, one fixed folder": ("basic", "fixed"),
    "ours": ("local", "ours"),
}
SWEPT = ("loss=", "seed=", "optimizer.lr=")
INNER = ("checkpoints", "figures")  # folders of a run
SILENT = 120  # seconds without a change of any file, after which a sweep is taken to be stuck and killed


def unrefused() -> None:
    """Run `segexp train` with the words of the command line, basic launcher and DDP together allowed."""
    from segexp.cli import main
    from segexp.commands import train

    train._refuse_processes_in_sweep = lambda config: None  # noqa: ARG005
    main("train")


def observe(grid: tuple[str, ...], launcher: str, sweep: str, folder: Path) -> dict[str, Any]:
    """Run a grid and note time, exit status, processes, and the end of what it printed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    words = ["-m", *grid, *COMMON, f"hydra/launcher={launcher}", f"hydra.sweep.dir={folder}/{sweep}"]
    printed = folder / "printed.log"
    start = time.monotonic()
    with printed.open("w") as file:
        command = [sys.executable, "-m", "benchmarks.sweeps_ddp", *words]
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=file, stderr=file, start_new_session=True)
    seen: set[int] = set()
    most = 0
    while process.poll() is None and time.time() - last_change(folder) < SILENT:
        alive = descendants(process.pid)
        seen, most = seen | alive, max(most, len(alive))
        time.sleep(0.1)
    stuck = process.poll() is None
    for pid in [*descendants(process.pid), process.pid] if stuck else []:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    took = time.monotonic() - start
    facts = {"status": process.returncode, "stuck": stuck, "seconds": took, "started": len(seen), "at once": most}
    lines = printed.read_text().replace(f"{ROOT}/", "").splitlines()
    return facts | {"printed": [line for line in lines if line.strip()][-4:]}


def last_change(folder: Path) -> float:
    """Time of the latest change below a folder, in seconds since 1970."""
    times = [folder.stat().st_mtime]
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return max(times)


def descendants(pid: int) -> set[int]:
    """Living Python processes that come from a process, threads and short-lived others left out."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name.startswith("python"):
            parents[int(path.parent.name)] = int(rest.split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def rows(folder: Path) -> list[str]:
    """One row per run folder: what its files say."""
    lines = ["| folder | job | run.json | epochs in metrics.csv | val dice |", "| --- | --- | --- | ---: | ---: |"]
    for run in sorted(path.parent for path in folder.rglob("config.yaml")):
        swept = [word for word in _read(run / "run.json").get("overrides", []) if word.startswith(SWEPT)]
        table = run / "metrics.csv"
        epochs = len(table.read_text().splitlines()) - 1 if table.is_file() else 0
        value = _read(run / "results.json").get("val", {}).get("dice")
        told = "none" if value is None else f"{value:.4f}"
        status = _read(run / "run.json").get("status", "none")
        cells = [f"`{run.relative_to(folder)}`", " ".join(swept), status, epochs, told]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    others = [path for path in folder.rglob("*") if path.is_file() and not (path.parent / "config.yaml").is_file()]
    names = sorted(f"`{path.relative_to(folder)}`" for path in others if path.parent.name not in INNER)
    return [*lines, "", f"Beside them: {', '.join(names) or 'nothing'}."]


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def section(heading: str, grid: tuple[str, ...]) -> list[str]:
    """Run a grid with one launcher and put into words what it left."""
    launcher, sweep = LAUNCHERS[heading]
    with tempfile.TemporaryDirectory() as folder:
        found = observe(grid, launcher, sweep, Path(folder))
        table = rows(Path(folder) / Path(sweep).parts[0])
        printed = [line.replace(folder, "…").rstrip()[:160] for line in found["printed"]]
    ended = f"Killed after {SILENT} s in which no file changed" if found["stuck"] else f"Exit status {found['status']}"
    counts = f"Python processes beside the first one: {found['started']}, at most {found['at once']} at a time"
    took = "" if found["stuck"] else f" after {found['seconds']:.0f} s"
    return [
        f"#### {heading}",
        "",
        f"{ended}{took}; {counts}.",
        "",
        *table,
        "",
        *(f"    {line}" for line in printed),
        "",
    ]


def main() -> None:
    """Observe both launchers and write the page."""
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, `python -m benchmarks.sweeps_ddp`, {os.cpu_count()} cores", ""]
    for title, grid in GRIDS.items():
        lines += [f"### {title}", "", f"    segexp train -m {' '.join([*grid, *COMMON])}", ""]
        for heading in LAUNCHERS:
            lines += section(heading, grid)
            print("\n".join(lines), flush=True)
    put_between(PAGE, "benchmarks.sweeps_ddp", "\n".join(lines))


if __name__ == "__main__":
    unrefused() if len(sys.argv) > 1 else main()
