"""Splits: which cases train, which choose, which are scored."""

from segexp.data.splits.splits import Split, make_split

__all__ = ["Split", "make_split"]
