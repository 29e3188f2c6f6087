"""Stress tests: a trained run scored on corrupted copies of its held-out cases, in calibrated severities."""
