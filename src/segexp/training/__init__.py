"""Training: the LightningModule, schedules, callbacks, fast paths."""

import lazy_loader

# Names are imported on first use, from the modules in __init__.pyi: PyTorch takes seconds.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
