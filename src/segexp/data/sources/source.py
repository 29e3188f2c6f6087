"""What a data source offers; anything with these three methods is one."""

from typing import Protocol

from segexp.data.case import Case


class Source(Protocol):
    """Labelled cases under stable names."""

    def prepare(self) -> None:
        """Download or check what is needed; called once per node, before anything is read."""

    def names(self) -> list[str]:
        """Return the names of all labelled cases in natural order (slice 2 before slice 10), the same every time."""

    def read(self, name: str) -> Case:
        """Read one case: image in the dtype of its file, target as uint8 class indices.

        Raises:
            ValueError: There is no such case, or a file cannot be used; names the file.
        """
