"""Finds out how the data of a user lie and what they hold, and writes that down as an option of the group data."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
