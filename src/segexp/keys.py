"""Keys and options of the configuration, with the comments of their YAML."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = re.compile(r"# @package (\S+)")
LINE = re.compile(r"( *)([\w.-]+):(?: (.*))?")
COMMENT = re.compile(r"(?:^|(?<=\s))#\s?(.*)$")
HEAD = 120  # characters of the comment at the head of a file
APART = ("defaults", "hydra")  # keys that choose, or are Hydra's


@dataclass(frozen=True)
class Key:
    """A setting.

    Args:
        name: Dotted name, such as data.sampling.patch_size.
        value: Default as it stands in the file; empty of a mapping.
        comment: Comment of the file; empty where there is none.
        place: The file, relative to the folder of configuration.
    """

    name: str
    value: str
    comment: str
    place: str


def read_keys(folder: Path) -> list[Key]:
    """All keys of the files of a folder of configuration, in the order of the files."""
    return [key for path in sorted(folder.rglob("*.yaml")) for key in keys_of(path, path.relative_to(folder))]


def keys_of(path: Path, place: Path) -> Iterator[Key]:
    """Keys of one file.

    Args:
        path: Path to it.
        place: Path relative to the folder of configuration, whose folders are the group.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    package = PACKAGE.match(lines[0]) if lines else None
    first = ".".join(place.parts[:-1])
    if package:
        first = "" if package[1] == "_global_" else package[1]
    above: list[tuple[int, str]] = []  # indent and name of the mappings that are open
    found: Key | None = None
    for line in lines:
        hit = LINE.fullmatch(line)
        if hit is None:
            more = COMMENT.match(line.strip()) if line.startswith(" ") and line.strip().startswith("#") else None
            if found and more:
                found = Key(found.name, found.value, f"{found.comment} {more[1]}".strip(), found.place)
            continue
        if found:
            yield found
        indent = len(hit[1])
        above = [one for one in above if one[0] < indent]
        name = ".".join([first, *(one[1] for one in above), hit[2]]).lstrip(".")
        value, comment = _parted(hit[3] or "")
        above.append((indent, hit[2]))
        apart = above[0][1] in APART or hit[2] == "_target_"
        found = None if apart else Key(name, value, comment, str(place))
    if found:
        yield found


def _parted(text: str) -> tuple[str, str]:
    """Value and comment of what stands behind a key; a # in quotes is none."""
    quoted = re.match(r"""\s*(?:"[^"]*"|'[^']*')""", text)
    start = quoted.end() if quoted else 0
    comment = COMMENT.search(text, start)
    return (text[: comment.start()].strip(), comment[1].strip()) if comment else (text.strip(), "")


def groups_of(folder: Path) -> list[str]:
    """Names of the groups, such as data/intensity."""
    return sorted({str(path.parent.relative_to(folder)) for path in folder.rglob("*.yaml")} - {"."})


def options_of(folder: Path, group: str) -> dict[str, str]:
    """Options of a group with the head of their files."""
    return {path.stem: _head(path) for path in sorted((folder / group).glob("*.yaml"))}


def _head(path: Path) -> str:
    """First comment of a file, in about a line."""
    words = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not PACKAGE.match(line):
            words.append(line.lstrip("# ").strip())
    return textwrap.shorten(" ".join(words), HEAD, placeholder=" …")
