"""Sources of labeled cases."""

from segexp.data.sources.chase import Chase
from segexp.data.sources.folder import Folder
from segexp.data.sources.isbi import ISBI
from segexp.data.sources.manifest import Manifest
from segexp.data.sources.mni152 import MNI152
from segexp.data.sources.msd import Decathlon, NnUNetRaw
from segexp.data.sources.nuclei import Nuclei
from segexp.data.sources.source import Source, label_values
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
]
