"""How a run compares with the present and with its repetition: tables for the terminal and a verdict."""

import math
from collections.abc import Sequence

from rich.text import Text

from segexp.errors import short_path
from segexp.runs.runs import Run
from segexp.runs.sameness import Fact, Value
from segexp.terminal import Console, Table


def print_facts(run: Run, facts: Sequence[Fact]) -> None:
    """Print what was recorded beside the present, and what differs."""
    table = Table(title=f"{short_path(run.folder)} and the present", title_justify="left")
    for head in ("", "recorded", "now", ""):
        table.add_column(head)
    for fact in facts:
        mark = "same" if fact.same else Text("differs", "yellow")
        table.add_row(fact.name, fact.recorded, fact.present, mark)
    console = _console()
    console.print(table)
    changed = changed_names(facts)
    summary = f"what differs: {', '.join(changed)}" if changed else "nothing differs"
    console.print(summary, highlight=False, soft_wrap=True)
    if run.record.get("resumed"):
        print(f"the run was resumed {len(run.record['resumed'])} times; it is run again in one piece")


def changed_names(facts: Sequence[Fact]) -> list[str]:
    """Name what differs, the keys of the configuration together."""
    return list(dict.fromkeys(fact.name.partition(":")[0] for fact in facts if not fact.same))


def print_metrics(metrics: Sequence[Value]) -> None:
    """Print the metrics of both runs."""
    table = Table("metric", "recorded", "again", "difference", title_justify="left")
    for value in metrics:
        distance = "none" if value.same else Text(_distance(value), "yellow")
        table.add_row(value.name, _number(value.recorded), _number(value.again), distance)
    _console().print(table)


def verdict(metrics: Sequence[Value], scores: Sequence[Value], changed: Sequence[str], resumed: bool = False) -> str:
    """Say in a sentence whether the run came out the same.

    Args:
        metrics: Final metrics of both runs.
        scores: Scores of single cases of both runs.
        changed: Names of what has changed since the first run.
        resumed: Whether the first run was resumed.
    """
    differing = [value for value in [*metrics, *scores] if not value.same]
    if not differing:
        return f"the same, bit for bit: {len(metrics)} metrics and {len(scores)} scores of single cases"
    counts = [sum(not value.same for value in values) for values in (metrics, scores)]
    largest = max(differing, key=lambda value: value.difference)
    cause = f"what differs: {', '.join(changed)}" if changed else "nothing that was recorded differs"
    if resumed:
        cause += (
            "; the run was resumed, and its first part may have had other settings: another number of epochs alone "
            "changes the course of the learning rate"
        )
    return (
        f"not the same: {counts[0]} of {len(metrics)} metrics and {counts[1]} of {len(scores)} scores of single cases "
        f"differ, the largest difference is {_distance(largest)} ({largest.name}); {cause}"
    )


def _console() -> Console:
    """Return the terminal, or wide lines where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def _distance(value: Value) -> str:
    return f"{value.difference:.3g}" if math.isfinite(value.difference) else "that one is undefined"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6g}"
