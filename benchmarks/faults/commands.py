"""Commands that are killed, and what comes out of them."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.faults.processes import finish, start, status_of
from segexp.runs.files import read_table

TINY = (
    *("trainer=cpu", "trainer.precision=32-true", "data.source.size=[48,48]", "data.source.count=9"),
    *("data.split.val=3-5", "data.split.test=6-8", "data.sampling.patch_size=[32,32]"),
    *("data.sampling.patches_per_epoch=16", "data.sampling.batch_size=4", "model.base_channels=4", "model.depth=2"),
    *("callbacks.progress.enabled=false", "hydra.launcher.jobs_at_once=1", "hydra.launcher.threads_per_job=1"),
)
RETRY = ("sweep.retry=failed",)
CLOCKS = ("seconds", "validation_seconds", "train/patches_per_second")  # columns that no two runs share


@dataclass(frozen=True)
class Kind:
    """A command whose process is killed.

    Args:
        words: Its words, given the folder of its outputs.
        digests: What came out, by name.
        resumed: Words that go on after a kill; None = the same ones.
        again: Further words that run what has failed again.
    """

    words: Callable[[Path], list[str]]
    digests: Callable[[Path], dict[str, str]]
    resumed: Callable[[Path], list[str]] | None = None
    again: tuple[str, ...] = ()


def kinds_in(folder: Path) -> dict[str, Kind]:
    """All kinds; predict needs a trained run and images, which are made in the folder."""

    def predict_words(out: Path) -> list[str]:
        run, images = prepare_prediction(folder)
        return ["predict", f"run={run}", f"input={images}", f"output={out}/masks", "device=cpu", "tile=64"]

    study = (
        *("hydra/sweeper=optuna", "hydra.sweeper.trials=2", "hydra/sweeper/pruner=none"),
        "optimizer.lr=interval(1e-3,1e-2)",
    )
    return {
        "single": Kind(train_words(), digests_of_runs, resume_words()),
        "ddp": Kind(train_words("trainer=ddp_cpu"), digests_of_runs, resume_words("trainer=ddp_cpu")),
        "sweep": Kind(sweep_words("seed=1,2"), digests_of_runs, again=RETRY),
        "study": Kind(sweep_words(*study), digests_of_runs, again=RETRY),
        "predict": Kind(predict_words, digests_of_masks),
    }


def train_words(*more: str) -> Callable[[Path], list[str]]:
    return lambda folder: ["train", *TINY, "trainer.max_epochs=3", f"hydra.run.dir={folder}/run", *more]


def resume_words(*more: str) -> Callable[[Path], list[str]]:
    def words(folder: Path) -> list[str]:
        run = folder / "run"
        if (run / "results.json").is_file() and status_of(run) == "done":
            return []
        there = (run / "checkpoints" / "last.ckpt").is_file()
        return ["train", f"resume={run}"] if there else train_words(*more)(folder)

    return words


def sweep_words(*more: str) -> Callable[[Path], list[str]]:
    return lambda folder: ["train", "-m", *TINY, "trainer.max_epochs=2", f"hydra.sweep.dir={folder}/sweep", *more]


def digests_of_runs(folder: Path) -> dict[str, str]:
    """Digest of metrics, curves and weights of every run that has ended well."""
    records = [record for record in folder.rglob("run.json") if status_of(record.parent) == "done"]
    return {record.parent.name: digest_of_run(record.parent) for record in records}


def digest_of_run(run: Path) -> str:
    """Digest of metrics, curves and weights."""
    results = json.loads((run / "results.json").read_text())
    scores = {split: results[split] for split in ("val", "test")}
    rows = [{key: value for key, value in row.items() if key not in CLOCKS} for row in read_table(run / "metrics.csv")]
    weights = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    content = repr([scores, rows, [(name, value.tolist()) for name, value in weights.items()]])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def digests_of_masks(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in (folder / "masks").glob("*.tif")}


def prepare_prediction(folder: Path) -> tuple[Path, Path]:
    import numpy as np
    import tifffile

    images = folder / "images"
    if not images.is_dir():
        finish(start(train_words()(folder / "trained"), folder, {}, folder / "trained.log"))
        images.mkdir()
        for index in range(12):
            pixels = np.random.default_rng(index).integers(0, 255, (256, 256), np.uint8)
            tifffile.imwrite(images / f"{index}.tif", pixels)
    return folder / "trained" / "run", images
