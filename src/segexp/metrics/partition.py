"""Partitions into regions: V_rand and V_info as the ISBI 2012 challenge defines them, and the adapted Rand error.

Source: Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image segmentation algorithms for connectomics",
Frontiers in Neuroanatomy 9:142, doi 10.3389/fnana.2015.00142.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice, require_each
from segexp.metrics.case_metric import CaseMetric
from segexp.metrics.checks import require_planes
from segexp.metrics.info import MetricInfo
from segexp.metrics.results import MetricResult
from segexp.metrics.summary import CaseScores


class RegionScores(NamedTuple):
    """How well two partitions agree; 1 is perfect, 0 the worst."""

    v_rand: float
    v_info: float
    rand_split: float
    rand_merge: float


class VariationOfInformation(NamedTuple):
    """What two partitions do not tell of each other, in bits; 0 is perfect.

    Attributes:
        split: Entropy of the proposed regions within a true one, H(proposed | true).
        merge: Entropy of the true regions within a proposed one, H(true | proposed).
    """

    split: float
    merge: float


class PartitionScores(CaseMetric):
    """V_rand and V_info of 2-D slices: do the same pixels share a region? 1 is perfect, 0 the worst.

    The rows also split V_rand into ``rand_split`` and ``rand_merge``, and repeat it as the ``adapted_rand_error``
    1 - V_rand of the SNEMI3D challenge, where 0 is perfect.

    A pixel is interior where the probability of the boundary class is below ``1 - threshold``; interior regions are
    grown until borders are one pixel wide and compared with the 4-connected regions of the truth, on the pixels of
    true regions only. A slice whose truth has no region is undefined (nan). Ignored pixels separate true regions.

    Args:
        boundary_class: Class that separates regions.
        thresholds: Thresholds of the interior that are tried, in [0, 1].
        name: Name of these regions in the rows.
        ignore_index: Pixels with this target, or with a negative one, count nowhere.
        voi: Whether the rows have the variation of information too, as ``voi_split`` and ``voi_merge`` in bits.

    Raises:
        ValueError: ``boundary_class`` is negative, or ``thresholds`` are none or outside [0, 1].
    """

    unit = "fraction"
    counts_objects = True

    def __init__(
        self,
        boundary_class: int = 1,
        thresholds: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        name: str = "regions",
        ignore_index: int = 255,
        voi: bool = False,
    ) -> None:
        require_choice("voi", voi, (False, True))
        require_at_least("boundary_class", boundary_class, 0, integer=True)
        require_each("thresholds", thresholds, 0, 1, "they are probabilities")
        super().__init__((len(thresholds), 6), torch.float64, ignore_index)
        self.boundary_class = boundary_class
        self.thresholds = tuple(thresholds)
        self.name = name
        self.voi = voi
        self.parts = (name,)

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Description of each score."""
        tried = ", ".join(map(str, self.thresholds))
        how = f"threshold with the best mean V_rand over these same cases, of {tried}"
        if "threshold" in self.chosen:
            how = f"threshold {self.chosen['threshold']}, which was fixed beforehand on other cases"
        at = f"interior {how}"
        measure = "per 2-D case, foreground-restricted, after border thinning, averaged over cases"
        most = f"maximum over interior thresholds {tried} of the mean over these cases (the ISBI 2012 protocol)"
        sentences = {
            "v_rand": f"F-score of the Rand index {measure}; {at}",
            "v_info": f"F-score of the information {measure}; {at}",
            "v_rand_max": f"V_rand: {most}",
            "v_info_max": f"V_info: {most}",
            "adapted_rand_error": f"1 - V_rand, the same score turned round as SNEMI3D has it, {measure}; {at}",
            "rand_split": f"Rand recall, fraction of the pixel pairs of a true region left together, {measure}; {at}",
            "rand_merge": f"Rand precision, fraction of the pairs put together that belong together, {measure}; {at}",
        }
        infos = {name: self.describe(sentence) for name, sentence in sentences.items()}
        for name in ("v_rand_max", "v_info_max"):  # labels have no thresholds to take a maximum over
            infos[name] = replace(infos[name], computed_from="probabilities")
        infos["adapted_rand_error"] = replace(infos["adapted_rand_error"], higher_is_better=False, unit="")
        if self.voi:
            split = f"variation of information by splits, entropy of the proposed regions within a true one, {measure}"
            merge = f"variation of information by merges, entropy of the true regions within a proposed one, {measure}"
            infos["voi_split"] = self.describe(f"{split}; {at}", higher_is_better=False, unit="bits")
            infos["voi_merge"] = self.describe(f"{merge}; {at}", higher_is_better=False, unit="bits")
        return infos

    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:  # noqa: ARG002
        """Score each slice at each threshold.

        Args:
            probs: (B, C, H, W) float.
            target: (B, H, W) int64.
            spacing: Ignored here.

        Returns:
            (B, T, 6) float64: ``RegionScores`` and ``VariationOfInformation`` per threshold.

        Raises:
            ValueError: The case is not two-dimensional, or has no channel for the boundary class.
        """
        from skimage.measure import label

        if probs.ndim != 4:
            raise ValueError(f"probs {tuple(probs.shape)} must be (B, C, H, W): score each 2-D slice as its own case")
        require_choice("boundary_class", self.boundary_class, range(probs.shape[1]))
        interior = 1 - probs[:, self.boundary_class].cpu().double().numpy()
        inside = (self.counted(target) & (target != self.boundary_class)).cpu().numpy()
        scores = []
        for proposal, truth in zip(interior, inside, strict=True):
            regions = label(truth, connectivity=1)
            scores.append([_thinned_and_compared(proposal > threshold, regions) for threshold in self.thresholds])
        return torch.tensor(scores, dtype=torch.float64)

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn scores (n, T, 6) into rows at the chosen threshold and maxima over thresholds."""
        means = measured.nanmean(dim=0)  # (T, 6)
        # Of equally good thresholds the one nearest to 0.5; nan counts as worst.
        v_rand = zip(means[:, 0].nan_to_num(-1.0).tolist(), self.thresholds, strict=True)
        best = max(v_rand, key=lambda pair: (pair[0], -abs(pair[1] - 0.5)))[1]
        threshold = self.chosen.get("threshold", best)
        require_choice("chosen threshold", threshold, self.thresholds)
        at_threshold = measured[:, self.thresholds.index(threshold)].tolist()
        rows = [
            CaseScores(case, self.name, self._row(RegionScores(*scores[:4]), VariationOfInformation(*scores[4:])))
            for case, scores in zip(cases, at_threshold, strict=True)
        ]
        v_rand_max, v_info_max = means[:, :2].amax(dim=0).tolist()
        overall = {"v_rand_max": v_rand_max, "v_info_max": v_info_max, "threshold": threshold}
        return MetricResult(rows, overall, {"threshold": threshold})

    def _row(self, scores: RegionScores, voi: VariationOfInformation) -> dict[str, float]:
        further = {"voi_split": voi.split, "voi_merge": voi.merge} if self.voi else {}
        return {**scores._asdict(), "adapted_rand_error": 1 - scores.v_rand, **further}


def partition_scores(interior: np.ndarray, truth_regions: np.ndarray) -> RegionScores:
    """Score one proposal: thin its borders, then compare its regions with the true ones.

    Args:
        interior: (H, W) bool, where the proposal sees the inside of a region.
        truth_regions: (H, W) int, the number of the true region; 0 is border and counts nowhere.

    Returns:
        All in [0, 1]; nan where the truth has no region, 0 where the proposal has none.
    """
    require_planes(interior=interior, truth_regions=truth_regions)
    return RegionScores(*_thinned_and_compared(interior, truth_regions)[:4])


def thin_borders(interior: np.ndarray) -> np.ndarray:
    """Grow the 4-connected regions of the interior until only dams one pixel wide part them.

    Args:
        interior: (H, W) bool.

    Returns:
        (H, W) int: region numbers from 1, and 0 on dams.
    """
    from skimage.measure import label
    from skimage.segmentation import watershed

    require_planes(interior=interior)
    columns_first = interior.astype(
        bool, copy=False
    ).T  # the scan order of the challenge's scorer; it settles where dams run in thick borders
    seeds = label(columns_first, connectivity=1)
    regions: np.ndarray = watershed(~columns_first, seeds, connectivity=1, watershed_line=True)
    return regions.T


def compare_regions(regions: np.ndarray, truth_regions: np.ndarray) -> RegionScores:
    """Compare two partitions on the pixels of true regions.

    With p_ij the fraction of pixels in true region i and proposed region j, and a and b its marginals, the Rand split
    score is Σ p_ij² / Σ a_i², the Rand merge score Σ p_ij² / Σ b_j², and V_rand their harmonic mean
    2 Σ p_ij² / (Σ a_i² + Σ b_j²). V_info is 2 I / (H(a) + H(b)), where I is the mutual information. A pixel on a
    dam (0) is a proposed region of its own.

    Args:
        regions: (H, W) int, the proposed partition; 0 marks dams.
        truth_regions: (H, W) int, the true partition; 0 counts nowhere, and something else must occur.

    Returns:
        V_rand, V_info and the Rand split and merge scores.
    """
    _require_regions(regions, truth_regions)
    return RegionScores(*_compared(regions, truth_regions)[:4])


def variation_of_information(regions: np.ndarray, truth_regions: np.ndarray) -> VariationOfInformation:
    """Measure how far two partitions differ on the pixels of true regions; arguments as ``compare_regions``.

    Source: Meilă 2007 (Comparing clusterings); split and merge as in the CREMI challenge.
    """
    _require_regions(regions, truth_regions)
    return VariationOfInformation(*_compared(regions, truth_regions)[4:])


def _require_regions(regions: np.ndarray, truth_regions: np.ndarray) -> None:
    require_planes(regions=regions, truth_regions=truth_regions)
    if not truth_regions.any():
        raise ValueError("truth_regions is 0 everywhere: there is nothing to compare, and partition_scores gives nan")


def _thinned_and_compared(interior: np.ndarray, truth_regions: np.ndarray) -> list[float]:
    """Score one proposal as ``partition_scores``: ``RegionScores``, then ``VariationOfInformation``."""
    if not truth_regions.any():
        return [float("nan")] * 6
    if not interior.any():  # every pixel is split off
        return [0.0] * 4 + _compared(np.zeros_like(truth_regions), truth_regions)[4:]
    return _compared(thin_borders(interior), truth_regions)


def _compared(regions: np.ndarray, truth_regions: np.ndarray) -> list[float]:
    """Compare two partitions: ``RegionScores``, then ``VariationOfInformation``."""
    from skimage.metrics import contingency_table

    inside = truth_regions != 0
    table = contingency_table(truth_regions[inside], regions[inside], normalize=True).tocoo()
    dams = table.data[table.col == 0].sum()
    both = table.data[table.col != 0]
    true = np.asarray(table.sum(axis=1)).ravel()
    proposed = np.asarray(table.sum(axis=0)).ravel()[1:]
    pixels = np.count_nonzero(inside)

    squares_both, squares_proposed = (np.square(p).sum() + dams / pixels for p in (both, proposed))
    squares_true = np.square(true).sum()
    v_rand = 2 * squares_both / (squares_true + squares_proposed)

    h_both, h_proposed = (_entropy(p) + dams * np.log(pixels) for p in (both, proposed))
    h_true = _entropy(true)
    h_sum = h_true + h_proposed
    v_info = 2 * (h_sum - h_both) / h_sum if h_sum else 1.0  # both may be one single region
    split, merge = squares_both / squares_true, squares_both / squares_proposed
    bits = [max(h_both - h, 0) / np.log(2) for h in (h_true, h_proposed)]  # without a rounding below 0
    return [float(score) for score in (v_rand, v_info, split, merge, *bits)]


def _entropy(p: np.ndarray) -> float:
    """Entropy in nats of probabilities that need not sum to 1."""
    positive = p[p > 0]
    return float(-(positive * np.log(positive)).sum())
