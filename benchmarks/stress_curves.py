"""Draw what corruptions cost, by severity: one panel per corruption, one curve per experiment of a sweep.

    python -m benchmarks.stress_curves experiments/artefacts/curves.png outputs/artefacts

Needs matplotlib (the extra `notebook`). The runs below the folders were stressed with the same corruptions and
severities. A curve is the mean over the runs of an experiment (folds and seeds) of the score on corrupted cases, less
that of the same run on the same cases as they are; its band is the 95 % interval of that mean (Student's t over the
runs).
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import t

from segexp.runs.folder import RunFolder
from segexp.runs.stress import StressResults

LEVEL = 0.95
COLUMNS = 4  # of panels
COLORS = ("#4269d0", "#efb118", "#ff725c", "#3ca951", "#a463f2", "#6cc5b0")
Experiments = Mapping[str, Sequence[StressResults]]


def experiments_of(folders: Sequence[Path]) -> dict[str, list[StressResults]]:
    """Stress results of all runs, by what their folders are called before seed and fold."""
    found: dict[str, list[StressResults]] = {}
    for folder in folders:
        for run in RunFolder.below(folder):
            if stress := run.stress():
                name = run.path.name.partition("__seed-")[0].replace("__", " ")
                found.setdefault(folder.name if name.startswith("seed-") else name, []).append(stress)
    if not found:
        raise SystemExit(f"no run below {', '.join(map(str, folders))} was stressed: segexp stress run=…")
    return dict(sorted(found.items()))


def lost(runs: Sequence[StressResults], corruption: str) -> np.ndarray:
    """Score less that on clean cases: (runs, 1 + severities), the first column 0."""
    rows = []
    for run in runs:
        clean, scores = run["clean"][run["metric"]], run["corruptions"][corruption]["scores"][run["metric"]]
        rows.append([0.0, *(np.nan if None in (score, clean) else score - clean for score in scores)])
    return 100 * np.array(rows)


def draw(experiments: Experiments, path: Path) -> None:
    first = next(iter(experiments.values()))[0]
    names = list(first["corruptions"])
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(2.9 * COLUMNS, 2.2 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, sharex=True, squeeze=False)
    for panel, name in zip(axes.flat, names, strict=False):
        for color, (label, runs) in zip(COLORS, experiments.items(), strict=False):
            values = lost(runs, name)
            mean, severities = values.mean(0), [0, *first["severities"]]
            reach = values.std(0, ddof=1) / np.sqrt(len(values)) * t.ppf((1 + LEVEL) / 2, len(values) - 1)
            panel.plot(severities, mean, color=color, label=f"{label} ({len(runs)} runs)", marker="o", markersize=3)
            panel.fill_between(severities, mean - reach, mean + reach, color=color, alpha=0.2, linewidth=0)
        panel.set_title(name.replace("_", " "), fontsize=10)
        panel.grid(alpha=0.3)
    for panel in axes.flat[len(names) :]:
        panel.set_visible(False)
    figure.supxlabel("severity", fontsize=10)
    figure.supylabel(f"{first['metric']} points lost", fontsize=10)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, help="file of the picture, PNG or SVG")
    parser.add_argument("runs", type=Path, nargs="+", help="folders with stressed runs below them")
    given = parser.parse_args()
    draw(experiments_of(given.runs), given.picture)


if __name__ == "__main__":
    main()
