"""Sources of labeled cases."""

import importlib
from typing import TYPE_CHECKING, Any

from segexp.data.sources.source import Source, label_values, require_files

if TYPE_CHECKING:
    from segexp.data.sources.chase import Chase
    from segexp.data.sources.folder import Folder
    from segexp.data.sources.isbi import ISBI
    from segexp.data.sources.manifest import Manifest
    from segexp.data.sources.mni152 import MNI152
    from segexp.data.sources.msd import Decathlon, NnUNetRaw
    from segexp.data.sources.nuclei import Nuclei
    from segexp.data.sources.synthetic import Synthetic

__all__ = [
    "ISBI",
    "MNI152",
    "Chase",
    "Decathlon",
    "Folder",
    "Manifest",
    "NnUNetRaw",
    "Nuclei",
    "Source",
    "Synthetic",
    "label_values",
    "require_files",
]
_LAZY = {  # imported when they are named: a run has one source, and some need libraries that others do not
    "Chase": "chase",
    "Folder": "folder",
    "ISBI": "isbi",
    "Manifest": "manifest",
    "MNI152": "mni152",
    "Decathlon": "msd",
    "NnUNetRaw": "msd",
    "Nuclei": "nuclei",
    "Synthetic": "synthetic",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
