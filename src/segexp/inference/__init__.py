"""Inference: a network and an image (B, C, *S) of any size in, probabilities (B, K, *S) out."""

from segexp.inference.averaging import FlipTurnPredictor
from segexp.inference.slices import SlicePredictor, to_size
from segexp.inference.tiling import TiledPredictor, predict_tiled

__all__ = ["FlipTurnPredictor", "SlicePredictor", "TiledPredictor", "predict_tiled", "to_size"]
