"""Shows the jobs of a sweep while they run: a live table, or plain lines where there is no terminal."""

import math
from collections import Counter

from rich.console import Console
from rich.live import Live
from rich.table import Table

from segexp.sweeps.ledger import DONE, FAILED, INTERRUPTED, PRUNED, QUEUED, RUNNING
from segexp.sweeps.pool import Tracked

COLOURS = {DONE: "green", FAILED: "red", RUNNING: "cyan", INTERRUPTED: "yellow", PRUNED: "magenta", QUEUED: "dim"}


def watcher() -> "LiveTable | PlainLines":
    """Return the one that suits the standard output."""
    console = Console()
    return LiveTable(console) if console.is_terminal else PlainLines(console)


class LiveTable:
    """A table that is redrawn in place; the running jobs come first, then what fits of the others.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, auto_refresh=False, transient=False)
        self.live.start()

    def update(self, jobs: list[Tracked]) -> None:
        """Draw the present state."""
        self.live.update(_table(jobs, max(self.console.height - 6, 4)), refresh=True)

    def close(self) -> None:
        """Leave the last state standing."""
        self.live.stop()


class PlainLines:
    """One line for each change of a job, and for each epoch.

    Args:
        console: Any output.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seen: dict[str, tuple[str, int]] = {}

    def update(self, jobs: list[Tracked]) -> None:
        """Print what has changed."""
        for item in jobs:
            now = (item.state, len(item.progress.rows) if item.state == RUNNING else 0)
            if now != self.seen.get(item.job.name) and item.state != QUEUED:
                words = [word for word in _cells(item)[1:] if word]
                count = sum(other.state not in (QUEUED, RUNNING) for other in jobs)
                text = f"[{count}/{len(jobs)}] {item.job.name}: {', '.join(words)}"
                self.console.print(text, markup=False, highlight=False, soft_wrap=True)
            self.seen[item.job.name] = now

    def close(self) -> None:
        """Nothing is left to print."""


def _table(jobs: list[Tracked], rows: int) -> Table:
    counts = Counter(item.state for item in jobs)
    title = ", ".join(f"{counts[state]} {state}" for state in COLOURS if counts[state])
    table = Table("job", "state", "epoch", "best", "left", "", title=title, title_justify="left")
    order = [RUNNING, FAILED, INTERRUPTED, QUEUED, PRUNED, DONE]
    shown = sorted(jobs, key=lambda item: order.index(item.state))[:rows]
    for item in shown:
        table.add_row(*_cells(item), style=COLOURS[item.state])
    if len(jobs) > len(shown):
        table.add_row(f"and {len(jobs) - len(shown)} more")
    return table


def _cells(item: Tracked) -> tuple[str, ...]:
    progress = item.progress
    started = bool(progress.rows)
    best = f"{progress.monitor} {progress.best:.4f}" if started and not math.isnan(progress.best) else ""
    left = f"{duration(progress.seconds_left)} left" if started and item.state == RUNNING else ""
    epoch = f"epoch {len(progress.rows)}/{progress.epochs}" if started else ""
    note = item.where if item.state == RUNNING else item.why.splitlines()[0] if item.why else ""
    return item.job.name, item.state, epoch, best, left, note


def duration(seconds: float) -> str:
    """Time in words: 45 s, 12 min, 3.5 h, 2.1 d."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    for limit, unit, size in ((5400, "min", 60), (172_800, "h", 3600), (math.inf, "d", 86_400)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}" if unit == "min" else f"{seconds / size:.1f} {unit}"
    return "?"
