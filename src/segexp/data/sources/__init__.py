"""Sources of labeled cases."""

import lazy_loader

# Names are imported on first use, from the modules in __init__.pyi: some sources need libraries that others do not.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
