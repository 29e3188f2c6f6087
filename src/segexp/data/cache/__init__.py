"""The cache of decoded cases."""

from segexp.data.cache.cache import CaseCache, content_digest, settings_of

__all__ = ["CaseCache", "content_digest", "settings_of"]
