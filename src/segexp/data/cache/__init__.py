"""The cache of decoded cases."""

from segexp.data.cache.cache import CaseCache, settings_of

__all__ = ["CaseCache", "settings_of"]
