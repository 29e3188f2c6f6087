"""Two studies side by side, one of them with pruning: ``python -m benchmarks.search FOLDER FOLDER PAGE``.

Writes the table between the markers of the page. Epochs are counted, since minutes depend on what else the machine did.
"""

import csv
import sys
from pathlib import Path

START, END = "<!-- table: python -m benchmarks.search -->", "<!-- end of table -->"


def row(folder: Path) -> str:
    with (folder / "study.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    states = [trial["state"] for trial in trials]
    (name,) = [key for key in trials[0] if key.startswith("val.")]
    best = max((float(trial[name]), trial["number"]) for trial in trials if trial["state"] == "complete")
    epochs = sum(len(path.read_text().splitlines()) - 1 for path in folder.glob("*/metrics.csv"))
    minutes = sum(float(trial["minutes"]) for trial in trials)
    counts = [states.count(state) for state in ("complete", "pruned", "fail")]
    cells = [folder.name, *counts, epochs, f"{minutes:.1f}", f"{best[0]:.4f} (trial {best[1]})"]
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    *folders, page = map(Path, sys.argv[1:])
    heads = ["study", "complete", "pruned", "failed", "epochs trained", "minutes of training", "best v_info"]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1), *map(row, folders)]
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n\n" + "\n".join(lines) + f"\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
