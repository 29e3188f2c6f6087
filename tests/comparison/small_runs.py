"""Run folders are written as `segexp train` leaves them."""

import json
from pathlib import Path

import numpy as np

from segexp.comparison.comparison import compare
from segexp.runs.runs import find_runs

PROTOCOL = "2 TP / (2 TP + FP + FN) per case"


def leave(
    folder: Path, loss: str, seed: int, scores: dict[str, dict[str, float]], fold: int | None = None, **facts
) -> None:
    """Write a run that scored ``scores[class][case]``."""
    folder.mkdir(parents=True)
    config = {
        "seed": seed,
        "data": {"split": {"fold": fold}},
        "loss": {"_target_": f"losses.{loss}", f"{loss}_knob": 1},
        "optimizer": {"lr": facts.pop("lr", 0.1)},
        "paths": {"run_dir": str(folder)},
        "monitor": "val/dice",
    }
    cases = sorted({case for of in scores.values() for case in of})
    record = {
        "status": "done",
        "config": config,
        "choices": {"loss": loss, "paths": "default"},
        "data_fingerprint": "f",
        "segexp_version": "1",
        "packages": {"torch": "2"},
        "machine": {"processor": "p", "gpus": []},
        "parameters": facts.pop("parameters", 10),
        "end": f"2026-11-23T00:00:0{seed}",
    } | facts
    (folder / "run.json").write_text(json.dumps(record))
    mean = float(np.mean([np.nanmean(list(of.values())) for of in scores.values()]))
    figures = {
        "dice": mean,
        "v_rand": mean / 2,
        **{f"dice_{name}": float(np.nanmean(list(of.values()))) for name, of in scores.items()},
    }
    results = {
        "headline": {"split": "test", "metric": "dice", "value": mean},
        "test": figures,
        "metrics": {"dice": {"higher_is_better": True, "unit": "fraction"}},
        "protocol": {"test": {"dice": PROTOCOL}},
        "cases": {"test": cases},
        "training": {"minutes": 2.0, "peak_memory_mib": 5.0},
    }
    (folder / "results.json").write_text(json.dumps(results))
    rows = [f"test,{case},{name},{of[case]}" for case in cases for name, of in scores.items()]
    (folder / "cases.csv").write_text(
        "split,case,class,dice\nval,v,a,0.9\n" + "\n".join(rows).replace("nan", "") + "\n"
    )
    (folder / "metrics.csv").write_text("epoch,train/loss,val/dice\n0,0.5,0.1\n1,0.4,\n")


def content_of(folder: Path, **settings):
    return compare(find_runs([str(folder)]), **settings)


def write_two(folder: Path) -> Path:
    """Two losses, one seed, ten cases of two classes; the second loss is better by 0.1 but for a spread of 0.01."""
    rng = np.random.default_rng(0)
    first = {name: {f"c{i}": float(rng.uniform(0.5, 0.7)) for i in range(10)} for name in ("a", "b")}
    second = {
        name: {case: value + 0.1 + float(rng.normal(0, 0.01)) for case, value in of.items()}
        for name, of in first.items()
    }
    leave(folder / "x", "ce", 1, first)
    leave(folder / "y", "dice", 1, second)
    return folder
