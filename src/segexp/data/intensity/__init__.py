"""Intensity rules: how the intensities of an image are scaled before a network sees them."""

from segexp.data.intensity.rules import N4, IntensityRule, PercentileClip, TrainingStatistics, Window, ZScore, rule_from

__all__ = ["N4", "IntensityRule", "PercentileClip", "TrainingStatistics", "Window", "ZScore", "rule_from"]
