from .ensemble import open_models as open_models
from .maps import Maps as Maps
from .segmenter import Segmenter as Segmenter
from .segmenter import segment as segment
from .settings import Settings as Settings
