"""Splits: which cases train, which choose, which are scored."""

from segexp.data.splits.splits import Split, SplitSettings, make_split, without_excluded

__all__ = ["Split", "SplitSettings", "make_split", "without_excluded"]
