"""Inference: a network and an image of any size in, probabilities of the image's size out."""

from segexp.inference.averaging import FlipTurnPredictor, views
from segexp.inference.ensemble import Members, entropy
from segexp.inference.optimization import optimized_for_inference
from segexp.inference.slices import SlicePredictor, to_size
from segexp.inference.streaming import Block, predict_blocks
from segexp.inference.tiling import TiledPredictor, predict_tiled

__all__ = [
    "Block",
    "FlipTurnPredictor",
    "Members",
    "SlicePredictor",
    "TiledPredictor",
    "entropy",
    "optimized_for_inference",
    "predict_blocks",
    "predict_tiled",
    "to_size",
    "views",
]
