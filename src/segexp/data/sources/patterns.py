"""Paths of images and masks below a folder, and what they tell of a case."""

import re
from dataclasses import dataclass
from typing import Protocol

from segexp.data.sources.listing import Found
from segexp.data.sources.pairs import SUFFIXES
from segexp.errors import require_choice

FIELDS = ("name", "group", "split", "stratum")
SPLITS = {
    **{"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}


@dataclass(frozen=True)
class Key:
    """What the path of a file tells of its case; files of equal keys are of one case.

    Attributes:
        name: Name; or path, of which the folders are part of the name.
        group: Patient.
        split: "train", "val" or "test".
        stratum: Kind of case.
    """

    name: str
    group: str = ""
    split: str = ""
    stratum: str = ""

    @property
    def case(self) -> str:
        """Name of the case: that of each folder comes before it, unless it begins with that anyway."""
        *folders, case = self.name.split("/")
        for folder in reversed(folders) if folders else (self.group, self.stratum, self.split):
            case = case if case.startswith(folder) else f"{folder}_{case}"
        return case


class PathRule(Protocol):
    """What the paths of images, or of masks, look like.

    Attributes:
        several: Whether several files may have one key.
        why_not: Reason why a file that does not match is left out.
    """

    several: bool
    why_not: str

    def match(self, found: Found) -> Key | None:
        """Key of a file; None if it does not look so."""

    def path_of(self, key: Key) -> str:
        """Path that a file of this key has, for messages."""


class Pattern:
    """Paths like "{group}/{name}_mask" or "{name}/masks/*".

    Args:
        text: Path relative to a folder, with or without the suffix of the files: {name} is the case, {group} its
            patient, {split} its split (train or training, val, valid or validation, test or testing), {stratum} its
            kind; * is anything. None of them reaches over a "/"; what comes twice is the same twice.
        setting: Name of the setting, for messages.

    Raises:
        ValueError: There is no {name}, or a field that is none of these.
    """

    def __init__(self, text: str, setting: str) -> None:
        pieces = re.split(r"(\{[^{}]*\}|\*)", text)
        self._text = text
        self.several = "*" in pieces
        self.why_not = f"not like {text!r}"
        self._with_suffix = text.lower().endswith(SUFFIXES)
        fields: set[str] = set()
        expression = ""
        for piece in pieces:
            if piece == "*":
                expression += "[^/]*"
            elif piece.startswith("{"):
                field = piece[1:-1]
                require_choice(f"{setting}={text!r}: field", field, FIELDS)
                expression += f"(?P={field})" if field in fields else f"(?P<{field}>[^/]+)"
                fields.add(field)
            else:
                expression += re.escape(piece)
        if "name" not in fields:
            raise ValueError(f"{setting}={text!r} must have {{name}} where the name of a case stands")
        self._expression = re.compile(expression)

    def match(self, found: Found) -> Key | None:
        """Key of a file; None if the pattern does not fit.

        Raises:
            ValueError: What stands at {split} is no split.
        """
        fit = self._expression.fullmatch(found.relative if self._with_suffix else found.stem)
        if fit is None:
            return None
        fields = fit.groupdict()
        if "split" in fields:
            require_choice(f"{found.path}: the split in its path", fields["split"].lower(), SPLITS)
            fields["split"] = SPLITS[fields["split"].lower()]
        return Key(**fields)

    def path_of(self, key: Key) -> str:
        """Path, without suffix where the pattern has none, that a file of this key has."""
        return self._text.format_map(vars(key))


class SuffixPattern:
    """Paths whose stem ends with a suffix, in any subfolder.

    The first subfolder is the group; of one that is called as a split, the split, and the next one is the group.

    Args:
        suffix: End of the stem, such as "_mask"; may be empty.
        setting: Name of the setting, for messages.
    """

    several = False

    def __init__(self, suffix: str, setting: str) -> None:
        self.suffix = suffix
        self.why_not = f"no {setting} {suffix!r}"

    def match(self, found: Found) -> Key | None:
        """Key of a file, whose name is the path without suffixes; None if the stem has another end."""
        name = found.stem.removesuffix(self.suffix)
        if not found.stem.endswith(self.suffix) or not name or name.endswith("/"):
            return None
        folders = name.split("/")[:-1]
        split = SPLITS.get(folders[0].lower(), "") if folders else ""
        groups = folders[1:] if split else folders
        return Key(name, group=groups[0] if groups else "", split=split)

    def path_of(self, key: Key) -> str:
        """Path, without suffix, that a file of this key has."""
        return f"{key.name}{self.suffix}"
