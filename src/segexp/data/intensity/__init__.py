"""Intensity rules: how the intensities of an image are scaled before a network sees them."""

from segexp.data.intensity.rules import IntensityRule, PercentileClip, TrainingStatistics, Window, ZScore, rule_from

__all__ = ["IntensityRule", "PercentileClip", "TrainingStatistics", "Window", "ZScore", "rule_from"]
