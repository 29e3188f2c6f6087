"""Objects: do the connected components of prediction and truth match one by one?"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice
from segexp.metrics.info import MetricInfo
from segexp.metrics.matching import THRESHOLDS, matched, overlapping, require_thresholds, scores_of_counts
from segexp.metrics.per_class import PerClassMetric
from segexp.metrics.results import MetricResult

POOLED = ("object_f1", "object_ap")  # scored with the objects of all cases counted together, too


class ObjectScores(PerClassMetric):
    """F1, average precision and panoptic quality of objects, per case and foreground class or region.

    Objects are connected components of predicted and of true pixels; two are the same object if their intersection
    over union (IoU) is greater than the threshold. From 0.5 on an object has at most one partner; below, as many as
    possible are matched one to one. For objects that are numbered already, see ``object_scores``.
    Ignored pixels are taken out of both before components are told apart, so an object that they cross becomes two
    in prediction and truth alike. A case without any object in both is undefined (nan); objects in only one of them
    score 0. Touching objects of one class are one component. Other arguments and errors as ``PerClassMetric``.

    Args:
        only: Names of the classes or regions whose objects are scored; None = all.
        connectivity: "faces" (4 neighbors in a plane, 6 in space) or "full" (8, 26).
        thresholds: Thresholds of the IoU, in [0, 1); F1 is scored at the first one.
        min_size: Number of pixels; smaller components are no objects, in prediction and truth alike.

    Raises:
        ValueError: An unknown name or connectivity, no threshold or one outside [0, 1), or a negative size.

    Source: Caicedo et al. 2019 (2018 Data Science Bowl, Nature Methods 16:1247) for ``object_f1`` and ``object_ap``,
    Kirillov et al. 2019 (CVPR, arXiv 1801.00868) for ``object_pq``.
    """

    unit = "fraction"
    counts_objects = True

    def __init__(
        self,
        class_names: Sequence[str],
        regions: Collection[str] | None = None,
        only: Sequence[str] | None = None,
        connectivity: str = "faces",
        thresholds: Sequence[float] = THRESHOLDS,
        min_size: int = 0,
        ignore_index: int = 255,
    ) -> None:
        require_choice("connectivity", connectivity, ("faces", "full"))
        require_at_least("min_size", min_size, 0, integer=True)
        require_thresholds(thresholds)
        super().__init__(class_names, regions, (4 + len(thresholds),), torch.float64, ignore_index)
        for name in only or ():
            require_choice("only", name, self.parts)
        self.only = tuple(self.parts if only is None else only)
        self.connectivity = connectivity
        self.thresholds = tuple(thresholds)
        self.min_size = min_size

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Description of each score."""
        first, tried = self.thresholds[0], ", ".join(map(str, self.thresholds))
        quality = "sum of the IoU of matched objects / (TP + FP / 2 + FN / 2)"
        what = {
            "object_f1": f"2 TP / (2 TP + FP + FN) of objects matched at IoU > {first}",
            "object_ap": f"TP / (TP + FP + FN) of objects, mean over IoU > {tried} (2018 Data Science Bowl, not COCO)",
            "object_pq": f"panoptic quality, {quality} at IoU > 0.5",
        }
        neighbors = "sharing a face" if self.connectivity == "faces" else "sharing a face, an edge or a corner"
        objects = f"objects are components of pixels {neighbors}, of at least {max(self.min_size, 1)} px; {self.how}"
        per_case = f"per case and {self.kind}; {objects}; cases without any object left out; {self.averaged}"
        infos = {score: self.describe(f"{words}, {per_case}") for score, words in what.items()}
        for score in POOLED:
            for name in self.only:
                infos[f"{score}_pooled_{name}"] = self.describe(
                    f"{what[score]}, of {self.kind} {name} with the objects of all cases counted together; {objects}"
                )
        return infos

    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:  # noqa: ARG002
        """Count the objects of each case and match them; arguments as `CaseMetric.measure`, errors as `masks`.

        Returns:
            (B, K, 4 + T) float64 per foreground class or region: number of true and of predicted objects, number and
            sum of the IoU above 0.5, matches at each threshold; 0 of what is not scored.
        """
        pred, truth = (mask.cpu().numpy() for mask in self.masks(probs, target)[:2])
        measured = np.zeros((*pred.shape[:2], 4 + len(self.thresholds)))
        for k in map(self.parts.index, self.only):
            for case in range(len(pred)):
                predicted = self._objects(pred[case, k])
                true = self._objects(truth[case, k])
                pairs = overlapping(predicted, true)
                iou = pairs.iou[pairs.iou > 0.5]
                matches = [len(matched(pairs, threshold).iou) for threshold in self.thresholds]
                measured[case, k] = [true.max(), predicted.max(), len(iou), iou.sum(), *matches]
        return torch.from_numpy(measured).to(probs.device)

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn matches (n, K, 4 + T) into rows per case and class and scores of all objects."""
        rows = [row for row in self.rows(cases, measured, scores_of_counts) if row.label in self.only]
        overall: dict[str, float] = {}
        for name in self.only:
            pooled = scores_of_counts(measured[:, self.parts.index(name)].sum(dim=0).tolist())
            overall |= {f"{score}_pooled_{name}": pooled[score] for score in POOLED}
        return MetricResult(rows, overall)

    def scored_among(self, parts: Sequence[int]) -> list[int]:
        """Pick the classes or regions whose objects are scored."""
        return [parts[self.parts.index(name)] for name in self.only]

    def _objects(self, mask: np.ndarray) -> np.ndarray:
        """Number the objects of a mask (*S) from 1 without a gap; 0 is no object."""
        from skimage.measure import label

        labels = label(mask, connectivity=1 if self.connectivity == "faces" else mask.ndim)
        kept = np.bincount(labels.ravel()) >= self.min_size
        kept[0] = False
        renumbered: np.ndarray = np.where(kept, kept.cumsum(), 0)[labels]
        return renumbered
