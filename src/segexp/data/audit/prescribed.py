"""What the audit finds where a data set prescribes splits that are not followed."""

from collections.abc import Mapping, Sequence

from segexp.data.audit.findings import Finding, Rule
from segexp.data.case import Entry
from segexp.errors import some


def not_followed(entries: Sequence[Entry], splits: Mapping[str, str]) -> Rule:
    """Cases that the data set holds out, and that train or choose all the same.

    Args:
        entries: Entries of all cases.
        splits: Split of each case that is in one, by name.
    """
    earlier = {"test": ("train", "val"), "val": ("train",)}
    moved = [entry for entry in entries if splits.get(entry.name, "") in earlier.get(entry.split, ())]
    if moved:
        shown = some((f"{entry.name} ({entry.split}) in {splits[entry.name]}" for entry in moved), 3)
        yield Finding(
            "warning",
            "prescribed splits",
            f"{len(moved)} of {len(entries)} cases are held out by the data set, and are not here: {shown}; scores do "
            "not compare with those of its own splits",
            tuple(entry.name for entry in moved),
            "data.split.method=prescribed" if all(entry.split for entry in entries) else "",
        )
