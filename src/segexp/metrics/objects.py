"""Objects: do those of prediction and truth match one by one?"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice
from segexp.metrics.checks import require_instances
from segexp.metrics.info import MetricInfo
from segexp.metrics.matching import THRESHOLDS, matched, overlapping, require_thresholds, scores_of_counts
from segexp.metrics.per_class import PerClassMetric
from segexp.metrics.results import MetricResult

POOLED = ("object_f1", "object_ap")  # scored with the objects of all cases counted together, too
# What the true objects of the cases that were scored are, for the protocol: (some are numbered, some are not) -> words.
OBJECTS = {
    (False, False): "objects are components of pixels {neighbors}",
    (False, True): "objects are components of pixels {neighbors}",
    (True, False): "predicted objects are components of pixels {neighbors}, true ones those of the instance masks",
    (True, True): (
        "predicted objects are components of pixels {neighbors}, true ones those of the instance masks where these "
        "number them, else components"
    ),
}


class ObjectScores(PerClassMetric):
    """F1, average precision and panoptic quality of objects, per case and foreground class or region.

    Predicted objects are connected components, so that touching ones of one class are one. So are true ones, unless
    ``update`` is given instances: then each number is an object, whole or in pieces, and components stand for what a
    class has without any number in a case. Two objects are the same if their intersection over union (IoU) is greater
    than the threshold. From 0.5 on an object has at most one partner; below, as many as possible are matched one to
    one. For predictions whose objects are numbered, see ``object_scores``.
    Ignored pixels are taken out of both before components are told apart, so an object that they cross becomes two
    in prediction and truth alike; one that is numbered stays one. A case without any object in both is undefined (nan);
    objects in only one of them score 0. Other arguments and errors as ``PerClassMetric``.

    Args:
        only: Names of the classes or regions whose objects are scored; None = all.
        connectivity: "faces" (4 neighbors in a plane, 6 in space) or "full" (8, 26).
        thresholds: Thresholds of the IoU, in [0, 1); F1 is scored at the first one.
        min_size: Number of pixels; what is smaller is no object, in prediction and truth alike.

    Raises:
        ValueError: An unknown name or connectivity, no threshold or one outside [0, 1), or a negative size.

    Source: Caicedo et al. 2019 (2018 Data Science Bowl, Nature Methods 16:1247) for ``object_f1`` and ``object_ap``,
    Kirillov et al. 2019 (CVPR, arXiv 1801.00868) for ``object_pq``.
    """

    unit = "fraction"
    counts_objects = True
    takes_instances = True

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
        super().__init__(class_names, regions, (5 + len(thresholds),), torch.float64, ignore_index)
        for name in only or ():
            require_choice("only", name, self.parts)
        self.only = tuple(self.parts if only is None else only)
        self.connectivity = connectivity
        self.thresholds = tuple(thresholds)
        self.min_size = min_size
        self._truths = (False, False)  # some true objects that were scored are numbered, some are not

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
        objects = OBJECTS[self._truths].format(neighbors=neighbors)
        objects += f", of at least {max(self.min_size, 1)} px; {self.how}"
        per_case = f"per case and {self.kind}; {objects}; cases without any object left out; {self.averaged}"
        infos = {score: self.describe(f"{words}, {per_case}") for score, words in what.items()}
        for score in POOLED:
            for name in self.only:
                infos[f"{score}_pooled_{name}"] = self.describe(
                    f"{what[score]}, of {self.kind} {name} with the objects of all cases counted together; {objects}"
                )
        return infos

    def update(
        self,
        probs: Tensor,
        target: Tensor,
        case_index: Tensor,
        spacing: Tensor | None = None,
        instances: Tensor | None = None,
    ) -> None:
        """Measure a batch of whole cases; errors and the other arguments as ``CaseMetric.update``.

        Args:
            probs: (B, C, *S) float.
            target: (B, *S) int64; of regions (B, C, *S).
            case_index: (B,) int64.
            spacing: (B, axes), or None.
            instances: (B, *S) integers, number of the true object of each pixel, 0 = none; None = not numbered.
        """
        sizes = self._checked(probs, target, case_index, spacing)
        if instances is not None:
            require_instances(instances, probs)
        self._keep(case_index, self.measure(probs.detach(), target.long(), sizes, instances))

    def measure(
        self,
        probs: Tensor,
        target: Tensor,
        spacing: Tensor,  # noqa: ARG002
        instances: Tensor | None = None,
    ) -> Tensor:
        """Count the objects of each case and match them; arguments as ``update``, errors as ``masks``.

        Returns:
            (B, K, 5 + T) float64 per foreground class or region: number of true and of predicted objects, number and
            sum of the IoU above 0.5, matches at each threshold, 1 where the true objects are numbered; 0 of what is not
            scored.
        """
        pred, truth = (mask.cpu().numpy() for mask in self.masks(probs, target)[:2])
        numbers = np.zeros((len(pred), *pred.shape[2:]), int) if instances is None else instances.cpu().numpy()
        measured = np.zeros((*pred.shape[:2], 5 + len(self.thresholds)))
        for k in map(self.parts.index, self.only):
            for case in range(len(pred)):
                predicted = self._large(self._components(pred[case, k]))
                numbered = _numbered(truth[case, k], numbers[case])
                has_numbers = bool(numbered.any())
                true = self._large(numbered if has_numbers else self._components(truth[case, k]))
                pairs = overlapping(predicted, true)
                iou = pairs.iou[pairs.iou > 0.5]
                matches = [len(matched(pairs, threshold).iou) for threshold in self.thresholds]
                measured[case, k] = [true.max(), predicted.max(), len(iou), iou.sum(), *matches, has_numbers]
        return torch.from_numpy(measured).to(probs.device)

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn matches (n, K, 5 + T) into rows per case and class and scores of all objects."""
        numbered, measured = measured[..., -1] > 0, measured[..., :-1]
        components = (measured[..., 0] > 0) & ~numbered
        self._truths = bool(numbered.any()), bool(components.any())
        rows = [row for row in self.rows(cases, measured, scores_of_counts) if row.label in self.only]
        overall: dict[str, float] = {}
        for name in self.only:
            pooled = scores_of_counts(measured[:, self.parts.index(name)].sum(dim=0).tolist())
            overall |= {f"{score}_pooled_{name}": pooled[score] for score in POOLED}
        return MetricResult(rows, overall)

    def scored_among(self, parts: Sequence[int]) -> list[int]:
        """Pick the classes or regions whose objects are scored."""
        return [parts[self.parts.index(name)] for name in self.only]

    def _components(self, mask: np.ndarray) -> np.ndarray:
        """Number the connected components of a mask (*S) from 1; 0 is no object."""
        from skimage.measure import label

        components: np.ndarray = label(mask, connectivity=1 if self.connectivity == "faces" else mask.ndim)
        return components

    def _large(self, objects: np.ndarray) -> np.ndarray:
        """Leave out small objects (*S), and number the others from 1 without a gap."""
        kept = np.bincount(objects.ravel()) >= self.min_size
        kept[0] = False
        large: np.ndarray = np.where(kept, kept.cumsum(), 0)[objects]
        return large


def _numbered(mask: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Number the objects (*S) that lie in a mask (*S) bool from 1 without a gap; 0 is no object."""
    objects = np.zeros(mask.shape, dtype=np.int64)
    inside = mask & (numbers > 0)
    objects[inside] = 1 + np.unique(numbers[inside], return_inverse=True)[1]
    return objects
