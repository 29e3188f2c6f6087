"""Data: cases from a source, split, cut into augmented patches for training, whole for scoring."""

import lazy_loader

# Names are imported on first use, from the modules in __init__.pyi: Lightning, albumentations and scipy take time.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
