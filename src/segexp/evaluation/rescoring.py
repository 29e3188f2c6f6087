"""Scores of labels in place of probabilities: what post-processing changes, with the metrics of a run."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.nn.functional import one_hot

from segexp.data import DataModule
from segexp.data.case import Case
from segexp.data.prepared import spacing_of, target_of, target_tensor
from segexp.metrics import CalibrationScores, CaseMetric, PartitionScores, RankingScores, joined, summarize
from segexp.postprocessing.postprocess import PostProcess

OF_PROBABILITIES = (CalibrationScores, RankingScores)  # labels have no part in them
Cut = tuple[int, float] | None  # boundary class and threshold of the interior; None = the most probable class
Result = dict[str, Any]


def cut_of(metric: CaseMetric, chosen: Mapping[str, float]) -> Cut:
    """How a metric makes labels of probabilities."""
    if isinstance(metric, PartitionScores) and "threshold" in chosen:
        return metric.boundary_class, chosen["threshold"]
    return None


def labels_of(probs: Tensor, regions: bool, cut: Cut = None) -> np.ndarray:
    """Decide for labels as the metrics do.

    Args:
        probs: (K, *S) float.
        regions: Whether the channels are overlapping regions, each there where it is above 0.5.
        cut: Of classes: where the boundary's threshold lies, else the most probable class wins.

    Returns:
        (*S) unsigned integers, or (K, *S) bool of regions.
    """
    if regions:
        return (probs > 0.5).cpu().numpy()
    kind = np.uint8 if len(probs) <= 256 else np.uint16
    if cut is None:
        return probs.max(dim=0).indices.cpu().numpy().astype(kind)
    boundary, threshold = cut
    interior = 1 - probs[boundary].cpu().double() > threshold
    others = probs.cpu().clone()
    others[boundary] = -1
    return torch.where(interior, others.max(dim=0).indices, boundary).numpy().astype(kind)


class Predictions(Callback):
    """Keeps the labels of all cases that a trainer scores, in order; of probabilities nothing stays in memory.

    Args:
        regions: Whether the network predicts overlapping regions.
        cuts: All that are wanted.
    """

    def __init__(self, regions: bool, cuts: Sequence[Cut]) -> None:
        self.regions, self.cuts = regions, list(dict.fromkeys([None, *cuts]))
        self._found: dict[int, dict[Cut, np.ndarray]] = {}

    def of(self, cut: Cut) -> list[np.ndarray]:
        """Labels of each case, decided this way."""
        return [self._found[index][cut] for index in sorted(self._found)]

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Keep the labels of a case."""
        del trainer, pl_module, args
        probs = outputs["probs"][0]
        self._found[int(batch["case_index"][0])] = {cut: labels_of(probs, self.regions, cut) for cut in self.cuts}

    def on_validation_batch_end(self, *args: Any) -> None:
        """Keep the labels of a case."""
        self.on_test_batch_end(*args)


class LabelScorer:
    """Scores labels of the cases of one side of a split.

    Args:
        data: Of the run, set up.
        side: "train", "val" or "test".
    """

    def __init__(self, data: DataModule, side: str) -> None:
        self.cases: list[Case] = [prepared.original for prepared in data.cases(side)]
        self.num_classes = None if data.labels.regions else data.labels.num_classes
        self._targets = [target_tensor(target_of(case), data.labels.regions) for case in self.cases]
        self._spacings = [spacing_of(case, data.geometry.distance_unit) for case in self.cases]

    def score(self, metric: CaseMetric, labels: Sequence[np.ndarray]) -> Result:
        """Compute the metric of labels, one array per case; the metric itself stays as it is."""
        fresh = deepcopy(metric).cpu()
        fresh.reset()
        for index, array in enumerate(labels):
            target, spacing = self._targets[index][None], self._spacings[index][None]
            fresh.update(self._certain(array)[None], target, torch.tensor([index]), spacing)
        return fresh.compute()

    def processed(self, labels: Sequence[np.ndarray], steps: Mapping[str, Any]) -> list[np.ndarray]:
        """Post-process the labels of each case."""
        process = PostProcess(steps)
        sizes = [case.spacing if case.spacing_unit == "mm" else None for case in self.cases]
        return [process(array, size) for array, size in zip(labels, sizes, strict=True)]

    def _certain(self, labels: np.ndarray) -> Tensor:
        """Turn labels into probabilities of 0 and 1: (K, *S) float."""
        if self.num_classes is None:
            return torch.from_numpy(labels).float()
        return one_hot(torch.from_numpy(labels.astype(np.int64)), self.num_classes).movedim(-1, 0).float()


def rescored(
    metrics: Sequence[CaseMetric], scorer: LabelScorer, predictions: Predictions, steps: Mapping[str, Any]
) -> Result:
    """Score post-processed labels with all metrics that are measured on labels.

    Args:
        metrics: That have just scored the probabilities of these cases. Those of probabilities (calibration, ranking)
            keep their figures; maxima over thresholds, which labels do not have, are left out.
        scorer: Of these cases.
        predictions: Of these cases.
        steps: Of ``PostProcess``.

    Returns:
        What ``Task.results`` holds of a side.
    """
    rows: list[dict[str, Any]] = []
    whole: dict[str, float] = {}
    protocol: dict[str, str] = {}
    curves: dict[str, Any] = {}
    processed: dict[Cut, list[np.ndarray]] = {}
    for metric in metrics:
        said, found = metric.protocol, metric.compute() if isinstance(metric, OF_PROBABILITIES) else None
        if found is None:
            cut = cut_of(metric, metric.chosen)
            if cut not in processed:
                processed[cut] = scorer.processed(predictions.of(cut), steps)
            found = scorer.score(metric, processed[cut])
            found["set"] = {name: value for name, value in found["set"].items() if not name.endswith("_max")}
            said = {
                name: f"{how}; labels post-processed: {in_words(steps)}"
                for name, how in said.items()
                if not name.endswith("_max")
            }
        rows += found["rows"]
        whole |= found["set"]
        protocol |= said
        curves |= found.get("curves", {})
    rows = joined(rows)
    chosen = {name: value for metric in metrics for name, value in metric.chosen.items()}
    return {"rows": rows, "figures": summarize(rows) | whole, "chosen": chosen, "protocol": protocol, "curves": curves}


def in_words(steps: Mapping[str, Mapping[str, Any]]) -> str:
    """Tell steps in words, such as "min_size (size=30), fill_holes"; "none" where there are none."""
    told = []
    for name, settings in steps.items():
        settings_told = ", ".join(f"{key}={value}" for key, value in settings.items())
        told.append(f"{name} ({settings_told})" if settings else name)
    return ", ".join(told) or "none"
