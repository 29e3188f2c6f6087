"""What a data source offers; anything with these three methods is one."""

import os
from itertools import count
from typing import Protocol

from segexp.data.case import Case, Entry


class Source(Protocol):
    """Labeled cases under stable names.

    The public attributes of a source are its settings: with the files' content they decide what ``read`` returns, and
    so whether a decoded case may be taken from the cache. What a source remembers for itself starts with "_". One whose
    masks hold other values than the numbers of the classes tells them in a property or attribute of its class,
    ``mask_values``: value -> class. One that finds a field of view in each image tells how in ``field_of_view``
    likewise: a key of ``FIELDS_OF_VIEW``. One that finds its cases in folders tells what else lies there in a method
    ``left_out``, as the function ``left_out`` returns it. One that reads more than the files of its entries tell has
    ``content_in_files = False``: its cases are read at every start.
    """

    def prepare(self) -> None:
        """Download or check what is needed; called once per node, before anything is read.

        Raises:
            FileNotFoundError: Files are missing; tells what to put where.
            ValueError: A list of the cases cannot be used, or a library is missing.
        """

    def entries(self) -> list[Entry]:
        """Return all labeled cases in natural order (slice 2 before slice 10), the same every time; reads no pixel."""

    def read(self, name: str) -> Case:
        """Read one case: image in the dtype of its file, target as uint8 class indices.

        Raises:
            ValueError: There is no such case, a file cannot be used, image and mask do not cover each other, or the
                mask has a value without a class; names the file.
        """


def require_files(source: Source, remedy: str) -> None:
    """Refuse a source whose files are not all there; ``remedy`` tells what else can be done. Nothing is downloaded.

    Raises:
        FileNotFoundError: Names how many are missing, where, and one of them.
    """
    missing = [file for entry in source.entries() for file in entry.files if not file.exists()]
    if missing:
        folder = os.path.commonpath([file.parent for file in missing])
        raise FileNotFoundError(
            f"the data are not all there: {len(missing)} files are missing in {folder}, such as {missing[0].name}; "
            f"put them there, or {remedy}"
        )


def left_out(source: Source) -> dict[str, tuple[str, ...]]:
    """Tell what a source saw in its folders and did not take.

    Returns:
        Reason, such as "hidden" or "no image: .txt" -> paths that begin with the name of the folder, such as
        "images/.DS_Store"; each path under one reason. Empty where everything was taken, or the source does not look
        around (a list of files, drawn cases).
    """
    look = getattr(source, "left_out", None)
    return {} if look is None else look()


def label_values(source: Source, num_classes: int) -> list[int]:
    """Value that stands for each class in masks like those of a source: the least, where several mean the same."""
    values = getattr(source, "mask_values", None) or {}
    written: dict[int, int] = {}
    for value in sorted(values, reverse=True):
        written[values[value]] = value
    # A class without a value of its own (borders, "other") takes its number, or the next that nothing else has.
    for own in range(num_classes):
        if own not in written:
            taken = {*values, *written.values()}
            written[own] = next(number for number in count(own) if number not in taken)
    return [written[own] for own in range(num_classes)]
