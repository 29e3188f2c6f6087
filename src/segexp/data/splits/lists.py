"""Splits that the user lists: in the configuration, or in a file such as nnU-Net's splits_final.json."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from segexp.errors import did_you_mean, require_choice

SPLITS = ("train", "val", "test")
Lists = Mapping[str, Sequence[str]] | Sequence[Mapping[str, Sequence[str]]] | str | Path


def read_lists(lists: Lists | None, fold: int | None, known: Collection[str]) -> dict[str, str]:
    """Return the split of each listed case; ``known`` are the names of all, see ``SplitSettings`` for the others.

    Raises:
        ValueError: Something else, an unknown or repeated name, or a fold where there is one split.
        FileNotFoundError: There is no such file.
    """
    content: Any = lists
    if isinstance(lists, str | Path):
        path = Path(lists)
        if not path.is_file():
            raise FileNotFoundError(f"data.split.lists={path} is not a file: check the path")
        try:
            content = (json.loads if path.suffix == ".json" else yaml.safe_load)(path.read_text(encoding="utf-8"))
        except (ValueError, yaml.YAMLError) as error:
            raise ValueError(f"data.split.lists={path} cannot be read ({error}): save it as JSON or YAML") from error
        if isinstance(content, Mapping) and "split" in content:  # run.json of a run
            content = content["split"]
    splits: dict[str, str] = {}
    for split, names in _one_split(content, fold).items():
        require_choice("a split in data.split.lists", split, SPLITS)
        if isinstance(names, str) or not isinstance(names, Sequence):
            raise ValueError(f"data.split.lists: {split} is {names!r}: it must be a list of cases")
        for name in names:
            if not isinstance(name, str) or name not in known:
                raise ValueError(f"data.split.lists: {split} has {name!r}, no case{did_you_mean(name, known)}")
            if name in splits:
                raise ValueError(f"data.split.lists: {name} stands in {splits[name]} and in {split}: remove one")
            splits[name] = split
    return splits


def _one_split(lists: Any, fold: int | None) -> Mapping[str, Any]:
    """Take the fold of a list of folds."""
    if isinstance(lists, Sequence) and not isinstance(lists, str):
        require_choice(f"data.split.fold, of the {len(lists)} folds in data.split.lists,", fold, range(len(lists)))
        lists, fold = lists[fold], None  # type: ignore[index]
        if isinstance(lists, Mapping) and set(lists) == {"train", "val"}:
            lists = {"train": lists["train"], "test": lists["val"]}
    if not isinstance(lists, Mapping):
        raise ValueError("data.split.lists must be {train: [..], val: [..], test: [..]}, or a list of such folds")
    if fold is not None:
        raise ValueError(f"data.split.fold={fold}, but data.split.lists has no folds: set data.split.fold=null")
    return lists
