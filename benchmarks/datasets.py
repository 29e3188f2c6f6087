"""Run the short CPU recipe of every named data set and write their table into experiments/datasets/README.md.

    python -m benchmarks.datasets                      # all of them, one after the other
    python -m benchmarks.datasets chase_cpu nuclei_cpu # these; the rows of the others stay

Rows are kept in experiments/datasets/results.json, so that one recipe can be run again alone.
"""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

from segexp.runs.recorder import processor

FOLDER = Path(__file__).parents[1] / "experiments" / "datasets"
RECIPES = (
    "isbi_cpu",
    "hippocampus_cpu",
    "hippocampus_slices_cpu",
    "chase_cpu",
    "nuclei_cpu",
    "nuclei_border_cpu",
    "polyps_cpu",
    "mni152_cpu",
)
BEGIN, END = "<!-- table: python -m benchmarks.datasets -->", "<!-- end of table -->"


def run(recipe: str) -> dict:
    """Train one recipe in a process of its own; return the row of the table."""
    folder = Path("outputs") / "datasets" / recipe
    words = [f"experiment={recipe}", f"hydra.run.dir={folder}", "callbacks.progress.enabled=false"]
    subprocess.run([sys.executable, "train.py", *words], check=True)
    results = json.loads((folder / "results.json").read_text())
    record = json.loads((folder / "run.json").read_text())
    headline = results["headline"]
    observers = results["observers"][headline["split"]]
    return {
        "cases": [len(results["cases"][side]) for side in ("train", "val", "test")],
        "parameters": record["parameters"],
        "minutes": results["training"]["minutes"],
        "rate": results["training"]["patches_per_second"],
        "figures": results[headline["split"]],
        "human": {name: figures["dice"] for name, figures in observers.items()},
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}",
    }


def table(rows: dict[str, dict]) -> str:
    """Format the rows as Markdown."""
    lines = [
        "| recipe | train / val / test cases | parameters | minutes | patches / s | test Dice | per class | date |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for recipe in (name for name in RECIPES if name in rows):
        row = rows[recipe]
        figures = row["figures"]
        names = [name for name in figures if re.fullmatch(r"dice_(?!pooled|ends|middle).*", name)]
        parts = [f"{name.removeprefix('dice_')} {figures[name]:.3f}" for name in names]
        parts += [f"**{name} {figures[name]:.4f}**" for name in ("v_rand_max", "v_info_max") if name in figures]
        parts += [f"(observer {name}: {dice:.3f})" for name, dice in row["human"].items()]
        cells = [
            f"`{recipe}`",
            " / ".join(map(str, row["cases"])),
            f"{row['parameters']:,}",
            f"{row['minutes']:.1f}",
            f"{row['rate']:.1f}",
            f"{figures['dice']:.3f}",
            ", ".join(parts),
            row["date"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    machines = sorted({row["machine"] for row in rows.values()})
    return "\n".join([*lines, "", *(f"Machine: {machine}." for machine in machines)])


def main() -> None:
    """Run the recipes named on the command line, or all, and write the table."""
    stored = FOLDER / "results.json"
    rows = json.loads(stored.read_text()) if stored.is_file() else {}
    for recipe in sys.argv[1:] or RECIPES:
        rows[recipe] = run(recipe)
        stored.write_text(json.dumps(rows, indent=1) + "\n")
        page = FOLDER / "README.md"
        before, _, rest = page.read_text().partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
