"""Sources of labelled cases."""

from segexp.data.sources.folder import Folder
from segexp.data.sources.isbi import ISBI
from segexp.data.sources.source import Source
from segexp.data.sources.synthetic import Synthetic

__all__ = ["ISBI", "Folder", "Source", "Synthetic"]
