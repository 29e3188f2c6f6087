"""Shows the jobs of a sweep while they run: a live table, or plain lines where there is no terminal."""

import math
from collections import Counter

from rich import box
from rich.live import Live
from rich.text import Text

from segexp.foreign import printable
from segexp.sweeps.ledger import DONE, FAILED, INTERRUPTED, PRUNED, QUEUED, RUNNING
from segexp.sweeps.pool import Tracked
from segexp.terminal import Console, Table

COLORS = {DONE: "green", FAILED: "red", RUNNING: "cyan", INTERRUPTED: "yellow", PRUNED: "magenta", QUEUED: "dim"}
ORDER = [RUNNING, FAILED, INTERRUPTED, QUEUED, PRUNED, DONE]
AROUND = 5  # lines of the table beside the jobs, and one for the cursor
BETWEEN = 42  # columns of state, epoch, best and time left, with their gaps
NARROW = 76  # a terminal of fewer columns has no room for the last column


def watcher() -> "LiveTable | PlainLines":
    """Return the display that suits the standard output."""
    console = Console()
    return LiveTable(console) if console.is_terminal else PlainLines(console)


class LiveTable:
    """A table that is redrawn in place; the running jobs come first, then what fits of the others."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, auto_refresh=False, transient=False)
        self.live.start()

    def update(self, jobs: list[Tracked]) -> None:
        """Draw the present state."""
        self.live.update(_table(jobs, self.console.width, self.console.height), refresh=True)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self.live.stop()


class PlainLines:
    """One line for each change of a job, and for each epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seen: dict[str, tuple[str, int]] = {}

    def update(self, jobs: list[Tracked]) -> None:
        """Print what has changed."""
        for item in jobs:
            now = (item.state, len(item.progress.rows) if item.state == RUNNING else 0)
            if now != self.seen.get(item.job.name) and item.state != QUEUED:
                epoch, best, left = _progress(item)
                best = best and f"{item.progress.monitor} {best}"
                parts = [item.state, epoch and f"epoch {epoch}", best, left and f"{left} left", _note(item)]
                told = ", ".join(part for part in parts if part)
                count = sum(other.state not in (QUEUED, RUNNING) for other in jobs)
                text = f"[{count}/{len(jobs)}] {item.job.name}: {told}"
                self.console.print(text, highlight=False, soft_wrap=True)
            self.seen[item.job.name] = now

    def close(self) -> None:
        """Nothing is left to print."""


def _table(jobs: list[Tracked], width: int, height: int) -> Table:
    """One line per job, whatever the length of its name and of its reason."""
    # As many jobs as there are lines, and for their names what the other columns leave.
    shown = sorted(jobs, key=lambda item: ORDER.index(item.state))[: max(height - AROUND, 1)]
    noted = width >= NARROW
    room = width - BETWEEN
    labels = _labels(jobs)
    longest = max(len(labels[item.job.name]) for item in shown)
    name = min(longest, max(room * 3 // 5 if noted else room, 16))
    counts = Counter(item.state for item in jobs)
    monitor = next((f"; best {item.progress.monitor}" for item in jobs if item.progress.monitor), "")
    title = ", ".join(f"{counts[state]} {state}" for state in COLORS if counts[state]) + monitor
    table = Table("job", "state", box=box.SIMPLE_HEAD, show_edge=False, title=title, title_justify="left")
    for heading in ("epoch", "best", "left"):
        table.add_column(heading, justify="right", no_wrap=True)
    if noted:
        table.add_column("")
    for item in shown:
        cells = [shortened(labels[item.job.name], name), item.state, *_progress(item)]
        note = [_note(item)[: max(room - name - 3, 0)]] if noted else []
        table.add_row(*(Text(printable(cell)) for cell in cells + note), style=COLORS[item.state])
    if len(jobs) > len(shown):
        table.add_row(f"and {len(jobs) - len(shown)} more")
    return table


def _labels(jobs: list[Tracked]) -> dict[str, str]:
    """Short form of each name: without its digest where that leaves it the only one."""
    readable = {item.job.name: item.job.name.rpartition("__")[0] or item.job.name for item in jobs}
    counts = Counter(readable.values())
    return {name: short if counts[short] == 1 else name for name, short in readable.items()}


def shortened(name: str, length: int) -> str:
    """Cut a name in its middle."""
    if len(name) <= length:
        return name
    end = min(length // 2, 14)
    return f"{name[: length - end - 1]}…{name[-end:]}"


def _progress(item: Tracked) -> tuple[str, str, str]:
    """Epoch, best metric and time left; empty before the first epoch."""
    progress = item.progress
    if not progress.rows:
        return "", "", ""
    best = "" if math.isnan(progress.best) else f"{progress.best:.4f}"
    left = duration(progress.seconds_left) if item.state == RUNNING else ""
    return f"{len(progress.rows)}/{progress.epochs}", best, left


def _note(item: Tracked) -> str:
    """Where it runs, or the first line of the reason for its state."""
    if item.state == RUNNING:
        return item.where
    return item.why.splitlines()[0] if item.why else ""


def duration(seconds: float) -> str:
    """Write a time: 45 s, 12 min, 3.5 h, 2.1 d."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    for limit, unit, size in ((5400, "min", 60), (172_800, "h", 3600), (math.inf, "d", 86_400)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}" if unit == "min" else f"{seconds / size:.1f} {unit}"
    return "?"
