"""What is done beside the learning: the epoch table, pictures of fixed cases, averaged weights."""

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging
from pytorch_lightning.trainer.states import TrainerFn

from segexp.inference import to_size

# image (C, *S), target (*S) or (K, *S), probs (K, *S) to a picture (H, W, 3) uint8
Draw = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class EpochTable(Callback):
    """Writes metrics.csv, one row per epoch; a resumed run goes on in the same file.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._started = self._trained = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self._started = self._trained = time.perf_counter()

    def on_train_batch_end(self, *args: Any) -> None:  # noqa: ARG002
        """Move the clock on: what comes after the last batch is validation."""
        self._trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row of this epoch."""
        seconds = max(self._trained - self._started, 1e-9)
        rate = trainer.num_training_batches * trainer.datamodule.batch_size / seconds  # type: ignore[attr-defined]
        pl_module.log("train/patches_per_second", rate, rank_zero_only=True)
        if not trainer.is_global_zero:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        values["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        values["train/patches_per_second"] = rate
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "seconds": round(seconds, 3),
            "validation_seconds": round(time.perf_counter() - self._trained, 3),
        }
        self._append(row | {name: values[name] for name in sorted(values)})

    def _append(self, row: dict[str, float]) -> None:
        """Add a row; drop rows of this epoch and later, which a run that was cut off may have left behind."""
        rows: list[dict[str, Any]] = []
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [old for old in csv.DictReader(file) if int(old["epoch"]) < row["epoch"]]
        names = list(dict.fromkeys([*(rows[0] if rows else {}), *row]))
        part = self.path.with_suffix(".part")
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows([*rows, row])
        part.replace(self.path)


class Panels(Callback):
    """Pictures of fixed cases: input, truth, prediction, error; in TensorBoard while training, as files at the end.

    Args:
        draw: (image, target, probs) of one case to a picture.
        every: Epochs between two pictures in TensorBoard.
        count: Number of cases, the first ones.
        folder: Where the pictures of the final scoring go.
    """

    def __init__(self, draw: Draw, folder: str, every: int = 5, count: int = 4) -> None:
        self.draw, self.folder, self.every, self.count = draw, Path(folder), every, count

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Show validation cases in TensorBoard during training, in files afterwards."""
        del pl_module, args
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if trainer.state.fn != TrainerFn.FITTING:
            self._save("val", outputs, batch)
        elif trainer.current_epoch % self.every == 0 or last:
            self._show(trainer, outputs, batch)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Save test cases as files."""
        del trainer, pl_module, args
        self._save("test", outputs, batch)

    def _show(self, trainer: pl.Trainer, outputs: Any, batch: Any) -> None:
        index = int(batch["case_index"][0])
        board: Any = getattr(trainer.logger, "experiment", None)
        if index < self.count and hasattr(board, "add_image"):
            picture = self._picture(outputs, batch)
            board.add_image(f"val/{batch['name'][0]}", picture, trainer.global_step, dataformats="HWC")

    def _save(self, side: str, outputs: Any, batch: Any) -> None:
        if int(batch["case_index"][0]) < self.count:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = batch["name"][0].replace("/", "_")
            Image.fromarray(self._picture(outputs, batch)).save(self.folder / f"{side}_{name}.png")

    def _picture(self, outputs: Any, batch: Any) -> np.ndarray:
        image = to_size(batch["image"].float(), outputs["probs"].shape[2:])
        arrays = (image, batch["target"], outputs["probs"].float())
        return self.draw(*(a[0].cpu().numpy() for a in arrays))


class WeightAverage(EMAWeightAveraging):
    """Exponential moving average of the weights: validated, kept in checkpoints, and final.

    Args:
        decay: Share of the old average that each optimizer step keeps.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__(decay=decay)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hand the average over and let go of it, so that later scoring uses the weights it is given."""
        super().on_train_end(trainer, pl_module)
        self._average_model = None
