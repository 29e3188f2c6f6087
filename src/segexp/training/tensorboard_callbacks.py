"""What a run shows beside its curves: pictures of fixed cases, precision against recall, its own configuration."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from segexp.data.case import IGNORED
from segexp.errors import require_at_least
from segexp.inference import to_size
from segexp.training.loggers import TensorBoard, show

# image (C, *S), target (*S) or (K, *S), probs (K, *S) to a picture (H, W, 3) uint8
Draw = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
MOST_THRESHOLDS = 127  # that TensorBoard takes


class Panels(Callback):
    """Pictures of fixed cases: input, truth, prediction, error; in the logger while training, as files at the end.

    Args:
        draw: (image, target, probs) of one case to a picture.
        folder: Where the pictures of the final scoring go.
        every: Epochs between two pictures in the logger.
        count: Number of validation cases in the logger, the first ones.
        saved: Number of cases of each side of the split whose picture is kept as a file, the first ones.
    """

    def __init__(self, draw: Draw, folder: str, every: int = 5, count: int = 4, saved: int = 64) -> None:
        self.draw, self.folder, self.every, self.count, self.saved = draw, Path(folder), every, count, saved

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Show validation cases in the logger during training, in files afterwards."""
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
        if int(batch["case_index"][0]) < self.count and trainer.is_global_zero and trainer.loggers:
            picture = self._picture(outputs, batch)
            for logger in trainer.loggers:
                show(logger, f"val/{batch['name'][0]}", picture, trainer.global_step)

    def _save(self, side: str, outputs: Any, batch: Any) -> None:
        if int(batch["case_index"][0]) < self.saved:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = batch["name"][0].replace("/", "_")
            Image.fromarray(self._picture(outputs, batch)).save(self.folder / f"{side}_{name}.png")

    def _picture(self, outputs: Any, batch: Any) -> np.ndarray:
        image = to_size(batch["image"].float(), outputs["probs"].shape[2:])
        arrays = (image, batch["target"], outputs["probs"].float())
        return self.draw(*(a[0].cpu().numpy() for a in arrays))


class PrecisionRecall(Callback):
    """Precision against recall in TensorBoard: the pixels of all validation cases, as they are scored at the end.

    Every labelled pixel counts; only counts per threshold are kept.

    Args:
        thresholds: Number of thresholds on the probability, even steps from 0 to 1.

    Raises:
        ValueError: ``thresholds`` is not between 2 and 127, the most that TensorBoard takes.
    """

    def __init__(self, thresholds: int = 101) -> None:
        require_at_least("thresholds", thresholds, 2, integer=True)
        if thresholds > MOST_THRESHOLDS:
            raise ValueError(f"thresholds={thresholds} must be at most {MOST_THRESHOLDS}: TensorBoard takes no more")
        self.thresholds = thresholds
        self.counts = torch.empty(0)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from nothing."""
        size = (len(_foreground(trainer)), 2, self.thresholds)
        self.counts = torch.zeros(size, dtype=torch.int64, device=pl_module.device)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Count the pixels of a case, unless this is a validation between epochs."""
        del pl_module, args
        if trainer.state.fn != TrainerFn.FITTING:
            self.counts += count_by_threshold(outputs["probs"], batch["target"], self.thresholds)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add up the counts of all processes and write a curve per class or region that some case has."""
        del pl_module
        if trainer.state.fn == TrainerFn.FITTING:
            return
        counts = trainer.strategy.reduce(self.counts, reduce_op="sum")
        if trainer.is_global_zero and isinstance(trainer.logger, TensorBoard):
            for name, (false, true) in zip(_foreground(trainer), counts.cpu().numpy(), strict=True):
                if true.sum():
                    curve, step = precision_recall(true, false), trainer.global_step
                    trainer.logger.ending.add_pr_curve_raw(f"val/{name}", *curve, step, num_thresholds=self.thresholds)


def count_by_threshold(probs: Tensor, target: Tensor, thresholds: int) -> Tensor:
    """Count labelled pixels by class, truth and the highest threshold that the probability reaches.

    Args:
        probs: (B, K, *S) probabilities of classes, background first, or of overlapping regions.
        target: (B, *S) class indices, or (B, K, *S) of regions, 1 inside; 255 and negative ones do not count.
        thresholds: Number of thresholds, even steps from 0 to 1.

    Returns:
        (K', 2, thresholds) int64: outside, inside; K' = K - 1 foreground classes, or K regions.
    """
    regions = target.ndim == probs.ndim
    counts = []
    for k in range(0 if regions else 1, probs.shape[1]):  # one at a time: volumes are large
        labels = target[:, k] if regions else target
        known = (labels >= 0) & (labels != IGNORED)
        truth = (labels == (1 if regions else k))[known]
        reached = (probs[:, k][known].double() * (thresholds - 1)).floor().long().clamp(0, thresholds - 1)
        counts.append(torch.bincount(reached + thresholds * truth, minlength=2 * thresholds).view(2, thresholds))
    return torch.stack(counts)


def precision_recall(true: np.ndarray, false: np.ndarray) -> tuple[np.ndarray, ...]:
    """Turn counts per threshold (T,) of pixels inside and outside into what TensorBoard draws.

    Returns:
        True and false positives, true and false negatives, precision, recall at each threshold: (T,) each.
    """
    hit, invented = (np.cumsum(counts[::-1])[::-1].astype(float) for counts in (true, false))
    missed, rejected = hit[0] - hit, invented[0] - invented
    return hit, invented, rejected, missed, hit / np.maximum(hit + invented, 1), hit / np.maximum(hit + missed, 1)


class Overview(Callback):
    """Texts and layout of TensorBoard, written when training starts or goes on.

    Args:
        record: The run's run.json.
        texts: (content of run.json) to name -> Markdown.
        layout: (names of figures, names of foreground classes) to the layout of the Custom Scalars tab.
    """

    def __init__(
        self,
        record: str,
        texts: Callable[[dict[str, Any]], dict[str, str]],
        layout: Callable[[Iterable[str], Iterable[str]], dict[str, Any]],
    ) -> None:
        self.record, self.texts, self.layout = Path(record), texts, layout

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write them; the names of the figures are those that the metrics speak of."""
        if trainer.is_global_zero and isinstance(trainer.logger, TensorBoard):
            record = json.loads(self.record.read_text(encoding="utf-8"))
            figures = [name for metric in pl_module.metrics for name in metric.protocol]  # type: ignore[union-attr]
            trainer.logger.log_start(self.texts(record), self.layout(figures, _foreground(trainer)))


def _foreground(trainer: pl.Trainer) -> list[str]:
    """Names of the regions that are learnt, else of the classes but the background."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    return list(data.labels.class_names[1:] if data.labels.regions is None else data.labels.regions)
