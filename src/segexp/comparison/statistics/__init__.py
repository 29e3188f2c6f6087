"""Which experiment is better, and how sure that is: docs/comparison_statistics.md."""

from segexp.comparison.statistics.comparison import Comparison, Summary, caveats, compare, corrected, summarize, verdict
from segexp.comparison.statistics.intervals import Interval, mean_interval, weighted_interval
from segexp.comparison.statistics.marginal import Marginal, marginal_effects
from segexp.comparison.statistics.paired import cohens_d_z, holm, rank_biserial, sign_flip_p, signed_rank_p
from segexp.comparison.statistics.scores import Run, Scores, gather, shared

__all__ = [
    "Comparison",
    "Interval",
    "Marginal",
    "Run",
    "Scores",
    "Summary",
    "caveats",
    "cohens_d_z",
    "compare",
    "corrected",
    "gather",
    "holm",
    "marginal_effects",
    "mean_interval",
    "rank_biserial",
    "shared",
    "sign_flip_p",
    "signed_rank_p",
    "summarize",
    "verdict",
    "weighted_interval",
]
