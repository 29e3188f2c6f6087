"""The cache of decoded cases."""

from segexp.data.cache.cache import CaseCache, digest_of, settings_of
from segexp.data.cache.measured import Measured
from segexp.data.cache.stored import content_digest

__all__ = ["CaseCache", "Measured", "content_digest", "digest_of", "settings_of"]
