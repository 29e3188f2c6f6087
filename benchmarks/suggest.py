"""What labeling the images that `segexp suggest` names is worth, against as many drawn at random.

    python -m benchmarks.suggest nuclei suggest_nuclei experiment=nuclei_cpu
    python -m benchmarks.suggest hippocampus suggest_hippocampus --seeds 2 minutes=2

Per seed three trainings: on a fifth of the training cases; on these and another fifth that `segexp suggest` chose with
that network; on these and a fifth drawn at random. All have the same validation and test cases, and the overrides of
the command line. What is done is not done again. Left are the runs, and results.json with the paired differences of the
headline metric on the test cases, their mean, and its 95 % interval (Student's t over the seeds).
"""

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import t

from segexp.build import build_data
from segexp.config import compose, plain

LEVEL = 0.95


def segexp(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "segexp", *words], check=True)


def train(folder: Path, split: dict[str, list[str]], seed: int, words: Sequence[str]) -> float:
    """Train on a list of cases, unless that was done; return the headline metric on the test cases."""
    results = folder / "results.json"
    if not results.is_file():
        lists = folder.with_name(f"{folder.name}.json")
        lists.parent.mkdir(parents=True, exist_ok=True)
        lists.write_text(json.dumps(split))
        own = ["data.split.method=list", f"data.split.lists={lists.absolute()}", f"seed={seed}"]
        segexp("train", *words, *own, f"hydra.run.dir={folder.absolute()}")
    headline = json.loads(results.read_text())["headline"]
    assert headline["split"] == "test", f"{results} was not scored on test cases"
    return float(headline["value"])


def suggested(run: Path, pool: dict[str, Path], count: int, diversity: float, words: Sequence[str]) -> list[str]:
    """Let a run choose among images, by the name of the case; of cases of several files the first is the image."""
    folder = run.with_name(f"{run.name}_pool")
    folder.mkdir(exist_ok=True)
    places = {}
    for number, (name, file) in enumerate(pool.items()):
        place = folder / f"{number:05d}{''.join(file.suffixes)}"
        place.unlink(missing_ok=True)
        place.symlink_to(file.absolute())
        places[str(place)] = name
    inference = [word for word in words if word.startswith("inference=")] or ["inference=tiled"]
    segexp(
        "evaluate", f"run={run}", "quality=true", "split=val", f"output={run.with_name(run.name + '_val')}", *inference
    )
    output = run.with_name(f"{run.name}_suggested")
    keys = [f"count={count}", f"diversity={diversity}", "pictures=0"]
    segexp("suggest", f"run={run}", f"input={folder}", f"output={output}", *keys)
    with (output / "suggestions.csv").open(newline="") as file:
        return [places[row["file"]] for row in csv.DictReader(file)]


def one_seed(folder: Path, data: list[str], seed: int, fraction: float, diversity: float) -> dict[str, float]:
    """Score a training on few cases, and on more: those suggested, and random ones."""
    module = build_data(plain(compose(data, run_dir=folder)))
    module.prepare_data()
    module.setup()
    split = {name: list(getattr(module.split, name)) for name in ("train", "val", "test")}
    files = {entry.name: entry.files[0] for entry in module.source.entries() if entry.files}
    shuffled = [str(name) for name in np.random.default_rng(seed).permutation(split["train"])]
    count = max(1, round(fraction * len(shuffled)))
    first, rest = shuffled[:count], shuffled[count:]
    scores = {"first": train(folder / "first", split | {"train": first}, seed, data)}
    if not (folder / "suggested" / "results.json").is_file():
        chosen = suggested(folder / "first", {name: files[name] for name in rest}, count, diversity, data)
        (folder / "chosen.json").write_text(json.dumps(chosen))
    chosen = json.loads((folder / "chosen.json").read_text())
    scores["suggested"] = train(folder / "suggested", split | {"train": [*first, *chosen]}, seed, data)
    scores["random"] = train(folder / "random", split | {"train": [*first, *rest[:count]]}, seed, data)
    return scores


def summary(scores: Sequence[dict[str, float]]) -> dict[str, object]:
    """Mean of the paired differences, suggested less random, and its interval; None with one seed."""
    differences = [one["suggested"] - one["random"] for one in scores]
    mean, reach = statistics.mean(differences), None
    if len(differences) > 1:
        error = statistics.stdev(differences) / math.sqrt(len(differences))
        reach = float(t.ppf((1 + LEVEL) / 2, len(differences) - 1)) * error
    return {
        "scores": list(scores),
        "mean_difference": mean,
        "low": None if reach is None else mean - reach,
        "high": None if reach is None else mean + reach,
        "level": LEVEL,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="data set whose cases have files, such as nuclei")
    parser.add_argument("output", type=Path, help="folder for the runs and results.json")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, 5")
    parser.add_argument("--fraction", type=float, default=0.2, help="of the training cases, first and added, 0.2")
    parser.add_argument("--diversity", type=float, default=0.5, help="as of segexp suggest, 0.5")
    given, words = parser.parse_known_args()
    data = [f"data={given.data}", *words] if not any(word.startswith("experiment=") for word in words) else words
    scores = []
    for seed in range(given.seeds):
        scores.append(one_seed(given.output / f"seed_{seed}", data, seed, given.fraction, given.diversity))
        found = summary(scores)
        (given.output / "results.json").write_text(json.dumps(found, indent=2))
    for seed, one in enumerate(scores):
        print(f"seed {seed}: first {one['first']:.4f}, suggested {one['suggested']:.4f}, random {one['random']:.4f}")
    ends = "" if found["low"] is None else f" ({found['low']:+.4f} to {found['high']:+.4f})"
    print(f"suggested less random: {found['mean_difference']:+.4f}{ends}")


if __name__ == "__main__":
    main()
