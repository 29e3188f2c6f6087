"""results.json and cases.csv: the figures of a run with their protocol in words."""

import csv
from pathlib import Path
from typing import Any

from segexp.runs.record import write_json


def write_cases(path: Path, sides: dict[str, dict[str, Any]], names: dict[str, list[str]]) -> None:
    """Write one row per case and class.

    Args:
        path: The file cases.csv.
        sides: Per side of the split ("val", "test") its rows, as the metrics gave them.
        names: Per side the names of its cases, in order.
    """
    rows = [
        {"split": side, **row, "case": names[side][row["case"]]}
        for side, result in sides.items()
        for row in result["rows"]
    ]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_results(path: Path, content: dict[str, Any]) -> None:
    """Write results.json; an undefined figure is null."""
    write_json(path, content)


def headline(sides: dict[str, dict[str, Any]], monitor: str) -> dict[str, Any]:
    """Pick the figure that stands for the run: the monitored one, on the test cases where there are any."""
    side = "test" if "test" in sides else "val"
    name = monitor.partition("/")[2]
    chosen = "" if side == "test" else "; these cases also chose the epoch, so this is no test figure"
    return {
        "split": side,
        "metric": name,
        "value": sides[side]["figures"][name],
        "note": f"scored on whole {side} cases{chosen}",
    }
