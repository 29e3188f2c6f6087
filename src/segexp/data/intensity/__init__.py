"""Intensity rules: how the intensities of an image are scaled before a network sees them."""

from segexp.data.intensity.named import rule_from
from segexp.data.intensity.rules import N4, IntensityRule, PercentileClip, Window, ZScore
from segexp.data.intensity.training_statistics import TrainingStatistics

__all__ = ["N4", "IntensityRule", "PercentileClip", "TrainingStatistics", "Window", "ZScore", "rule_from"]
