"""Scores per whole case, and the headline scores made of them."""

from segexp.metrics.calibration import CalibrationScores
from segexp.metrics.case_metric import CaseMetric, find_info
from segexp.metrics.centerline import CenterlineScores
from segexp.metrics.info import MetricInfo
from segexp.metrics.labels import DecisionRule, certain_probs
from segexp.metrics.matching import Pairs, match_objects, object_scores
from segexp.metrics.objects import ObjectScores
from segexp.metrics.observers import score_labels, score_observer
from segexp.metrics.overlap import OverlapScores
from segexp.metrics.partition import (
    PartitionScores,
    compare_regions,
    partition_scores,
    thin_borders,
    variation_of_information,
)
from segexp.metrics.per_class import PerClassMetric
from segexp.metrics.ranking import RankingScores
from segexp.metrics.results import MetricResult, SplitResult, gather
from segexp.metrics.summary import BinScores, CaseScores, case_means, mean_of_defined, summarize, undefined
from segexp.metrics.surface import SurfaceScores

__all__ = [
    "BinScores",
    "CalibrationScores",
    "CaseMetric",
    "CaseScores",
    "CenterlineScores",
    "DecisionRule",
    "MetricInfo",
    "MetricResult",
    "ObjectScores",
    "OverlapScores",
    "Pairs",
    "PartitionScores",
    "PerClassMetric",
    "RankingScores",
    "SplitResult",
    "SurfaceScores",
    "case_means",
    "certain_probs",
    "compare_regions",
    "find_info",
    "gather",
    "match_objects",
    "mean_of_defined",
    "object_scores",
    "partition_scores",
    "score_labels",
    "score_observer",
    "summarize",
    "thin_borders",
    "undefined",
    "variation_of_information",
]
