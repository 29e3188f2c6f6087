"""Data: cases from a source, split, cut into augmented patches for training, whole for scoring."""

import importlib
from typing import TYPE_CHECKING, Any

from segexp.data.case import Case, Entry
from segexp.data.declared import Geometry, Labels, Sampling

if TYPE_CHECKING:
    from segexp.data.augmentation.appearance import Anisotropy, Motion, Noise, TorchIO
    from segexp.data.augmentation.augment import Augment
    from segexp.data.augmentation.geometry import GridElastic, QuarterTurns
    from segexp.data.datamodule import DataModule
    from segexp.data.weight_maps import BorderWeightMap

__all__ = [
    "Anisotropy",
    "Augment",
    "BorderWeightMap",
    "Case",
    "DataModule",
    "Entry",
    "Geometry",
    "GridElastic",
    "Labels",
    "Motion",
    "Noise",
    "QuarterTurns",
    "Sampling",
    "TorchIO",
]
_LAZY = {  # imported when they are named: Lightning, albumentations and scipy take time
    "Augment": "segexp.data.augmentation.augment",
    "BorderWeightMap": "segexp.data.weight_maps",
    "DataModule": "segexp.data.datamodule",
    **dict.fromkeys(("Anisotropy", "Motion", "Noise", "TorchIO"), "segexp.data.augmentation.appearance"),
    **dict.fromkeys(("GridElastic", "QuarterTurns"), "segexp.data.augmentation.geometry"),
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
