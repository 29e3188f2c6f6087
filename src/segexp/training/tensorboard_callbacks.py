"""Callbacks for what is shown beside the curves: pictures of cases, precision-recall curves, configuration."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from segexp.data.case import IGNORED
from segexp.errors import require_at_least, require_between
from segexp.inference import to_size
from segexp.pictures.figures import save_picture
from segexp.runs.files import read_json
from segexp.runs.record import Record
from segexp.training.batches import counted
from segexp.training.loggers import show
from segexp.training.tensorboard import Layout

# image (C, *S), target (*S) or (K, *S), probs (K, *S) to a picture (H, W, 3) uint8
Draw = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
MOST_THRESHOLDS = 127  # that TensorBoard takes


class Panels(Callback):
    """Pictures of fixed cases: input, truth, prediction, error; in the logger while training, as files at the end.

    Args:
        draw: Function from (image, target, probs) of one case to a picture.
        folder: Folder of the pictures of the final scoring.
        every: Number of epochs between two pictures in the logger.
        count: Number of validation cases in the logger, the first ones.
        saved: Number of cases of each split whose picture is kept as a file, the first ones.
    """

    def __init__(self, draw: Draw, folder: str, every: int = 5, count: int = 4, saved: int = 64) -> None:
        require_at_least("every", every, 1, integer=True)
        for key, number in (("count", count), ("saved", saved)):
            require_at_least(key, number, 0, integer=True)
        self.draw = draw
        self.folder = Path(folder)
        self.every = every
        self.count = count
        self.saved = saved

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Show validation cases in the logger during training, in files afterwards."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if trainer.state.fn != TrainerFn.FITTING:
            self._save("val", outputs, batch)
        elif trainer.current_epoch % self.every == 0 or last:
            self._show(trainer, outputs, batch)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Save test cases as files."""
        self._save("test", outputs, batch)

    def _show(self, trainer: pl.Trainer, outputs: Any, batch: Any) -> None:
        if 0 <= int(batch["case_index"][0]) < self.count and trainer.is_global_zero and trainer.loggers:
            picture = self._picture(outputs, batch)
            for logger in trainer.loggers:
                show(logger, f"z_cases/{batch['name'][0]}", picture, trainer.global_step)

    def _save(self, split: str, outputs: Any, batch: Any) -> None:
        if 0 <= int(batch["case_index"][0]) < self.saved:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = batch["name"][0].replace("/", "_")
            save_picture(self.folder / f"{split}_{name}.png", self._picture(outputs, batch))

    def _picture(self, outputs: Any, batch: Any) -> np.ndarray:
        image = to_size(batch["image"].float(), outputs["probs"].shape[2:])
        arrays = (image, batch["target"], outputs["probs"].float())
        return self.draw(*(a[0].cpu().numpy() for a in arrays))


class PrecisionRecall(Callback):
    """Precision against recall in TensorBoard: the pixels of all validation cases, as they are scored at the end.

    Every labeled pixel counts; only counts per threshold are kept.

    Args:
        thresholds: Number of thresholds on the probability, in even steps from 0 to 1.

    Raises:
        ValueError: ``thresholds`` is not between 2 and 127, the most that TensorBoard takes.
    """

    def __init__(self, thresholds: int = 101) -> None:
        require_between("thresholds", thresholds, 2, MOST_THRESHOLDS, "TensorBoard takes no more", integer=True)
        self.thresholds = thresholds
        self.counts = torch.empty(0)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the counts to zero."""
        size = (len(_foreground(trainer)), 2, self.thresholds)
        self.counts = torch.zeros(size, dtype=torch.int64, device=pl_module.device)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Count the pixels of a case, unless this is a validation between epochs."""
        if trainer.state.fn != TrainerFn.FITTING and counted(batch):
            self.counts += count_by_threshold(outputs["probs"], batch["target"], self.thresholds)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add up the counts of all processes and write a curve per class or region that some case has."""
        if trainer.state.fn == TrainerFn.FITTING:
            return
        counts = trainer.strategy.reduce(self.counts, reduce_op="sum")
        log_curve = getattr(trainer.logger, "log_pr_curve", None)  # TensorBoard alone draws them
        if trainer.is_global_zero and log_curve is not None:
            for name, (outside, inside) in zip(_foreground(trainer), counts.cpu().numpy(), strict=True):
                if inside.sum():
                    log_curve(f"val/{name}", precision_recall(inside, outside), trainer.global_step)


def count_by_threshold(probs: Tensor, target: Tensor, thresholds: int) -> Tensor:
    """Count labeled pixels by class, truth and the highest threshold that the probability reaches.

    Args:
        probs: (B, K, *S) probabilities of classes, background first, or of overlapping regions.
        target: (B, *S) class indices, or (B, K, *S) of regions, 1 inside; 255 and negative ones do not count.
        thresholds: Number of thresholds, in even steps from 0 to 1.

    Returns:
        (K', 2, thresholds) int64: outside, inside; K' = K - 1 foreground classes, or K regions.
    """
    regions = target.ndim == probs.ndim
    counts = []
    for k in range(0 if regions else 1, probs.shape[1]):  # one at a time: volumes are large
        labels = target[:, k] if regions else target
        known = (labels >= 0) & (labels != IGNORED)
        truth = (labels == (1 if regions else k))[known]
        # The highest threshold that a probability reaches; counts of lower ones follow by adding up.
        reached = (probs[:, k][known].double() * (thresholds - 1)).floor().long().clamp(0, thresholds - 1)
        counts.append(torch.bincount(reached + thresholds * truth, minlength=2 * thresholds).view(2, thresholds))
    return torch.stack(counts)


def precision_recall(inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, ...]:
    """Turn counts per threshold (T,) of pixels inside and outside into the curve that TensorBoard draws.

    Returns:
        True and false positives, true and false negatives, precision, recall at each threshold: (T,) each.
    """
    tp, fp = (np.cumsum(counts[::-1])[::-1].astype(float) for counts in (inside, outside))
    fn = tp[0] - tp
    tn = fp[0] - fp
    return tp, fp, tn, fn, tp / np.maximum(tp + fp, 1), tp / np.maximum(tp + fn, 1)


class Overview(Callback):
    """Texts and layout of TensorBoard, written when training starts or resumes.

    Args:
        record: Path to the run's run.json.
        texts: Function from the content of run.json to name -> Markdown.
        layout: Function from (names of metrics, names of foreground classes) to the layout of the Custom Scalars tab.
    """

    def __init__(
        self,
        record: str,
        texts: Callable[[Record], dict[str, str]],
        layout: Callable[[Iterable[str], Iterable[str]], Layout],
    ) -> None:
        self.record = Path(record)
        self.texts = texts
        self.layout = layout

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write them; the names of the curves are those that the metrics describe."""
        log_start = getattr(trainer.logger, "log_start", None)  # TensorBoard alone shows them
        if trainer.is_global_zero and log_start is not None:
            names = [name for metric in pl_module.metrics for name in metric.info]  # type: ignore[union-attr]
            log_start(self.texts(read_json(self.record)), self.layout(names, _foreground(trainer)))


def _foreground(trainer: pl.Trainer) -> list[str]:
    """Names of the regions that are learned, else of the classes without the background."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    return list(data.labels.class_names[1:] if data.labels.regions is None else data.labels.regions)
