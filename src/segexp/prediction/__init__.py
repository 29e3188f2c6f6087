"""Prediction: from trained models and a file or array to labels, in the axes of the file."""

from segexp.prediction.ensemble import Settings, open_models
from segexp.prediction.maps import Maps
from segexp.prediction.segmenter import Segmenter, segment

__all__ = ["Maps", "Segmenter", "Settings", "open_models", "segment"]
