"""segexp: research experiments with U-Nets on medical and biological images."""

import os

__version__ = "0.2.0"

# albumentations asks the network for a newer release at import; an experiment must not.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
