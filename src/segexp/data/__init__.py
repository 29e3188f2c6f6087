"""Data: cases from a source, split, cut into augmented patches for training, whole for scoring."""

import importlib
from typing import TYPE_CHECKING, Any

from segexp.data.augment import Augment
from segexp.data.case import Case, Entry
from segexp.data.datamodule import DataModule
from segexp.data.weight_maps import BorderWeightMap

if TYPE_CHECKING:
    from segexp.data.appearance import Anisotropy, Motion, Noise, TorchIO
    from segexp.data.geometry import GridElastic, QuarterTurns

__all__ = [
    "Anisotropy",
    "Augment",
    "BorderWeightMap",
    "Case",
    "DataModule",
    "Entry",
    "GridElastic",
    "Motion",
    "Noise",
    "QuarterTurns",
    "TorchIO",
]
_TRANSFORMS = {  # imported when they are named: albumentations takes its time
    **dict.fromkeys(("Anisotropy", "Motion", "Noise", "TorchIO"), "segexp.data.appearance"),
    **dict.fromkeys(("GridElastic", "QuarterTurns"), "segexp.data.geometry"),
}


def __getattr__(name: str) -> Any:
    if name in _TRANSFORMS:
        return getattr(importlib.import_module(_TRANSFORMS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
