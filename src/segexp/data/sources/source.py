"""What a data source offers; anything with these three methods is one."""

from typing import Protocol

from segexp.data.case import Case, Entry


class Source(Protocol):
    """Labelled cases under stable names.

    The public attributes of a source are its settings: with the files' content they decide what ``read`` returns, and
    so whether a decoded case may be taken from the cache. What a source remembers for itself starts with "_".
    """

    def prepare(self) -> None:
        """Download or check what is needed; called once per node, before anything is read."""

    def entries(self) -> list[Entry]:
        """Return all labelled cases in natural order (slice 2 before slice 10), the same every time; reads no pixel."""

    def read(self, name: str) -> Case:
        """Read one case: image in the dtype of its file, target as uint8 class indices.

        Raises:
            ValueError: There is no such case, or a file cannot be used; names the file.
        """
