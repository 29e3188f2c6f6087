"""Run folders as `segexp train` leaves them, with known differences, without training anything."""

import csv
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segexp.pictures.figures import draw_case

LOSSES = ("ce", "dice", "dice_ce", "focal")
RATES = (0.001, 0.0003, 0.003, 0.0001, 0.01)
DEPTHS = (3, 4, 2, 5, 6)
PROTOCOL = {
    "dice": "2 TP / (2 TP + FP + FN) per case and foreground class, averaged over cases, then over classes",
    "iou": "TP / (TP + FP + FN) per case and foreground class, averaged over cases, then over classes",
    "hd95_mm": "95th percentile of the distances between the surfaces, in mm, averaged over cases, then over classes",
}
FACTS = {
    "dice": {"higher_is_better": True, "unit": "fraction"},
    "iou": {"higher_is_better": True, "unit": "fraction"},
    "hd95_mm": {"higher_is_better": False, "unit": "mm"},
}


@dataclass(frozen=True)
class Sweep:
    """What is written.

    Args:
        experiments: At most 100: all combinations of 4 losses, 5 learning rates and 5 depths, the loss varying first.
        seeds: Runs of each experiment and fold.
        folds: 0 = one fixed split; else each case is scored in one of them.
        cases: Scored in all.
        classes: Foreground.
        metrics: Columns of cases.csv, among dice, iou and hd95_mm.
        effects: Mean dice of each experiment minus that of the first; repeated when there are more experiments.
        noise: Standard deviation of a case's dice between experiments; a third of it between seeds.
        epochs: Rows of metrics.csv.
        pictures: Cases per run that have one.
        case_name: Pattern of the names of cases.
        losses: Names of the losses.
    """

    experiments: int = 2
    seeds: int = 2
    folds: int = 0
    cases: int = 20
    classes: Sequence[str] = ("cell",)
    metrics: Sequence[str] = ("dice", "iou")
    effects: Sequence[float] = (0.0, 0.03, -0.02, 0.01)
    noise: float = 0.02
    epochs: int = 12
    pictures: int = 0
    case_name: str = "case_{:03d}"
    losses: Sequence[str] = LOSSES


def write_runs(folder: Path, sweep: Sweep) -> list[Path]:
    """Write one folder per experiment, seed and fold: run.json, results.json, cases.csv, metrics.csv, figures.

    Returns:
        The run folders, in order.
    """
    generator = np.random.default_rng(0)
    difficulty = generator.normal(0, 0.06, (sweep.cases, len(sweep.classes)))
    grid = itertools.islice(itertools.product(DEPTHS, RATES, sweep.losses), sweep.experiments)
    written = []
    for number, (depth, rate, loss) in enumerate(grid):
        mean = 0.8 + sweep.effects[number % len(sweep.effects)]
        own = generator.normal(0, sweep.noise, difficulty.shape)
        for seed, fold in itertools.product(range(1, sweep.seeds + 1), range(sweep.folds) or (None,)):
            name = f"{number:03d}_seed-{seed}" + ("" if fold is None else f"_fold-{fold}")
            settings = {"loss": loss, "lr": rate, "depth": depth, "seed": seed, "fold": fold}
            noise = generator.normal(0, sweep.noise / 3, difficulty.shape) + generator.normal(0, 0.003)
            scores = np.clip(mean + difficulty + own + noise, 0.02, 0.995)
            _write(folder / name, sweep, settings, scores, generator)
            written.append(folder / name)
    return written


def _write(folder: Path, sweep: Sweep, settings: dict, scores: np.ndarray, generator: np.random.Generator) -> None:
    (folder / "figures").mkdir(parents=True)
    fold = settings["fold"]
    scored = [case for case in range(sweep.cases) if fold is None or case % sweep.folds == fold]
    names = [sweep.case_name.format(case) for case in scored]
    minutes = 2.0 * settings["depth"] + generator.uniform(0, 0.3)
    rows = [
        {"split": "test", "case": name, "class": label, **_figures(scores[case, k], sweep.metrics)}
        for case, name in zip(scored, names, strict=True)
        for k, label in enumerate(sweep.classes)
    ]
    _table(folder / "cases.csv", rows)
    _table(folder / "metrics.csv", _curves(sweep.epochs, settings, float(scores[scored].mean()), generator))
    (folder / "run.json").write_text(json.dumps(_record(folder, settings)), encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(_results(sweep, rows, names, minutes)), encoding="utf-8")
    for case, name in zip(scored[: sweep.pictures], names, strict=False):
        picture = _picture(np.random.default_rng(case), float(scores[case].mean()))
        Image.fromarray(picture).save(folder / "figures" / f"test_{name.replace('/', '_')}.png")


def _figures(dice: float, metrics: Sequence[str]) -> dict[str, float]:
    known = {"dice": dice, "iou": dice / (2 - dice), "hd95_mm": 30 * (1 - dice)}
    return {name: known[name] for name in metrics}


def _table(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _curves(epochs: int, settings: dict, end: float, generator: np.random.Generator) -> list[dict]:
    time = np.arange(epochs) / max(epochs - 1, 1)
    noise = generator.normal(0, 0.01, (3, epochs))
    columns = {
        "epoch": range(epochs),
        "lr": settings["lr"] * (1 - 0.9 * time),
        "train/loss": 0.9 * np.exp(-3 * time) + 0.08 + noise[0],
        "val/loss": 0.8 * np.exp(-2.5 * time) + 0.16 + noise[1],
        "val/dice": end * (1 - np.exp(-5 * time)) + noise[2],
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _record(folder: Path, settings: dict) -> dict:
    config = {
        "seed": settings["seed"],
        "monitor": "val/dice",
        "data": {"_target_": "segexp.data.DataModule", "split": {"fold": settings["fold"]}},
        "model": {"_target_": "segexp.models.UNet", "depth": settings["depth"], "base_channels": 16},
        "loss": {"_target_": f"segexp.losses.{settings['loss']}"},
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": settings["lr"]},
        "trainer": {"max_epochs": 12, "precision": "32-true"},
        "paths": {"run_dir": str(folder)},
    }
    return {
        "status": "done",
        "why": "all epochs trained and scored",
        "segexp_version": "0.1.0",
        "overrides": [f"loss={settings['loss']}"],
        "seed": settings["seed"],
        "start": "2026-11-23T18:58:47+00:00",
        "end": "2026-11-23T18:59:46+00:00",
        "git": {"commit": "0" * 40, "diff": ""},
        "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
        "machine": {"processor": "synthetic", "threads": 2, "gpus": [], "cuda": None},
        "data_fingerprint": "synthetic",
        "parameters": 30_000 * 4 ** settings["depth"],
        "config": config,
        "choices": {"model": "unet", "loss": settings["loss"], "optimizer": "adamw", "data": "synthetic"},
    }


def _results(sweep: Sweep, rows: list[dict], names: list[str], minutes: float) -> dict:
    figures = {}
    for metric in sweep.metrics:
        of_class = {k: float(np.mean([row[metric] for row in rows if row["class"] == k])) for k in sweep.classes}
        figures |= {metric: float(np.mean(list(of_class.values())))}
        figures |= {f"{metric}_{label}": value for label, value in of_class.items()}
    figures["v_rand"] = figures[sweep.metrics[0]] * 0.98
    protocol = {metric: PROTOCOL[metric] for metric in sweep.metrics} | {"v_rand": "foreground-restricted Rand score"}
    worth = figures[sweep.metrics[0]]
    curves = {"reliability": {label: _diagram(worth) for label in sweep.classes}}
    return {
        "headline": {"split": "test", "metric": sweep.metrics[0], "value": figures[sweep.metrics[0]], "note": ""},
        "test": figures,
        "curves": {"test": curves},
        "metrics": {metric: FACTS[metric] for metric in sweep.metrics},
        "protocol": {"test": protocol},
        "cases": {"test": names},
        "training": {
            "minutes": minutes,
            "epochs": sweep.epochs,
            "patches_per_second": 50.0,
            "peak_memory_mib": 300.0 + 40 * minutes,
            "energy_wh": minutes * 1.5,
        },
    }


def _diagram(worth: float) -> dict:
    """Ten bins, the one in the middle empty; the worse, the surer."""
    probability = [(bin + 0.5) / 10 for bin in range(10)]
    share = [p + (1 - worth) * (0.5 - p) for p in probability]
    pixels = [1000.0, 400.0, 200.0, 100.0, 0.0, 50.0, 100.0, 200.0, 300.0, 500.0]
    gone = [bool(count) for count in pixels]
    return {
        "probability": [p if kept else None for p, kept in zip(probability, gone, strict=True)],
        "share": [s if kept else None for s, kept in zip(share, gone, strict=True)],
        "pixels": pixels,
    }


def _picture(generator: np.random.Generator, dice: float) -> np.ndarray:
    """Draw a bright disk that the prediction finds the worse the lower its dice is."""
    y, x = np.mgrid[:96, :96]
    away = np.hypot(y - generator.uniform(35, 60), x - generator.uniform(35, 60))
    image = np.exp(-((away / 30) ** 2)) + generator.normal(0, 0.1, away.shape)
    found = (away < 25 * (2 * dice - 1)).astype(float)
    return draw_case(image[None], (away < 25).astype(np.int64), np.stack([1 - found, found]))
