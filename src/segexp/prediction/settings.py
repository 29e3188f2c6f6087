"""How trained models are used: what predictions are asked for; to say so takes no PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass

MASK_FORMATS = ("auto", "seg.nrrd", "imagej")  # names of the formats that masks are written in


@dataclass(frozen=True)
class Settings:
    """How models are used; what is None is as in training.

    Args:
        tta: Views of each tile whose probabilities are averaged: "none", "flips" (4: of y and x), "turns" (8: these and
            quarter turns), "seen" (all that the training showed to the networks), or flips and turns with commas, see
            ``segexp.inference.views.WORDS``.
        allow_unseen_views: Whether to average over views that the training never showed, instead of refusing them.
        adapt: Weight of an image's own statistics in batch norms, from 0 (as trained) to 1, see
            ``segexp.inference.adapted``.
        device: Name of the device: "auto", "cpu", "cuda", "cuda:1", "mps" …
        tile: Side of a tile in px, one for all axes or one per axis; "whole" takes the image in one go.
        overlap: What a tile has in common with the next one: a fraction of it in [0, 1), or a whole number of px; one
            for all axes or one per axis.
        border: Border in px, or "auto".
        blending: "gaussian" or "constant".
        sigma: Of the Gaussian window, as a fraction of the tile; one for all axes or one per axis.
        padding_mode: What lies beyond the image: "reflect", "replicate" or "constant".
        batch_size: Number of tiles per call of the network.
        accumulate: Where tiles are added up: "device" or "cpu".
        postprocess: Whether to apply the steps that the models keep, where all keep the same.
        probabilities: Whether to keep the probabilities, too.
        uncertainty: Whether to keep the entropy, and the standard deviation over networks and views where there are
            several.
        quality: Whether to estimate the quality of the mask.
        strict: Whether to refuse an image that is far from what the training saw, instead of a warning.
    """

    tta: str = "none"
    allow_unseen_views: bool = False
    adapt: float = 0
    device: str = "auto"
    tile: int | Sequence[int] | str | None = None
    overlap: float | Sequence[float] | None = None
    border: int | str | None = None
    blending: str | None = None
    sigma: float | Sequence[float] | None = None
    padding_mode: str | None = None
    batch_size: int | None = None
    accumulate: str = "device"
    postprocess: bool = True
    probabilities: bool = False
    uncertainty: bool = False
    quality: bool = False
    strict: bool = False
