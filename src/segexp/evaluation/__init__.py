"""Evaluation: metrics of whole cases of a trained run, its post-processing, its worst cases."""
