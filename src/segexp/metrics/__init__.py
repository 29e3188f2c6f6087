"""Scores per whole case, and the headline figures made of them."""

from segexp.metrics.calibration import CalibrationScores
from segexp.metrics.case_metric import CaseMetric
from segexp.metrics.centerline import CenterlineScores
from segexp.metrics.objects import ObjectScores
from segexp.metrics.observers import score_observer
from segexp.metrics.overlap import OverlapScores
from segexp.metrics.partition import PartitionScores, compare_regions, partition_scores, thin_borders
from segexp.metrics.ranking import RankingScores
from segexp.metrics.summary import case_means, joined, mean_of_defined, summarize, undefined
from segexp.metrics.surface import SurfaceScores

__all__ = [
    "CalibrationScores",
    "CaseMetric",
    "CenterlineScores",
    "ObjectScores",
    "OverlapScores",
    "PartitionScores",
    "RankingScores",
    "SurfaceScores",
    "case_means",
    "compare_regions",
    "joined",
    "mean_of_defined",
    "partition_scores",
    "score_observer",
    "summarize",
    "thin_borders",
    "undefined",
]
