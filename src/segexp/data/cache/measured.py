"""What was measured on the cases of a data set before, so that a second start need not look at their pixels."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from segexp.crc import crc_of
from segexp.data.cache.plain import from_json, to_json
from segexp.writing import replacing


class Measured:
    """Plain values and arrays by the digest of a case and a name; one file holds those of a whole data set.

    The file has a CRC-32 in its first line and JSON in the second. One that is damaged counts as none.

    Args:
        path: File; None = values are remembered in memory alone.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {} if path is None else _read(path)
        self._used: dict[str, dict[str, Any]] = {}
        self._changed = False

    def of(self, digest: str, name: str, measure: Callable[[], Any]) -> Any:
        """Return what was measured before, or measure it.

        Args:
            digest: Digest of the case, as ``CaseCache.case`` returns it.
            name: Name of the value; holds all settings that it depends on.
            measure: Function that measures; called where the value is not known. What ``to_json`` takes.

        Returns:
            The value, lists, tuples and mappings made anew.
        """
        values = self._used.setdefault(digest, self._known.get(digest, {}))
        if name not in values:
            values[name] = to_json(measure(), name)
            self._changed = True
        return from_json(values[name])

    def keep(self) -> None:
        """Write what is new; values of cases that were not asked for since the start are let go."""
        if self._path is None or not self._changed:
            return
        content = json.dumps(self._used)
        with suppress(OSError):  # measured again by the next start
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._path, sync=False) as part:
                part.write_text(f"{crc_of(content.encode())}\n{content}", encoding="utf-8")
        self._changed = False


def _read(path: Path) -> dict[str, dict[str, Any]]:
    with suppress(OSError, ValueError, TypeError):
        crc, _, content = path.read_bytes().partition(b"\n")
        if crc.decode() == crc_of(content):
            return dict(json.loads(content))
    return {}
