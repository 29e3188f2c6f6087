"""Inference: a network and an image of any size in, probabilities of the image's size out."""

from segexp.inference.adaptation import AdaptivePredictor, adapted
from segexp.inference.ensemble import Ensemble, FlipTurnPredictor, Predictor
from segexp.inference.optimization import optimized_for_inference
from segexp.inference.probabilities import entropy
from segexp.inference.slices import SlicePredictor, to_size
from segexp.inference.streaming import Block, predict_blocks
from segexp.inference.tiling import TiledPredictor
from segexp.inference.views import views

__all__ = [
    "AdaptivePredictor",
    "Block",
    "Ensemble",
    "FlipTurnPredictor",
    "Predictor",
    "SlicePredictor",
    "TiledPredictor",
    "adapted",
    "entropy",
    "optimized_for_inference",
    "predict_blocks",
    "to_size",
    "views",
]
