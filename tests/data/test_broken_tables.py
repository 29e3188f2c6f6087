"""Tables, splits and settings that do not fit the files: each gets a sentence that names file, value and remedy."""

from collections.abc import Callable
from typing import Any

import pytest

from segexp.data.sources import Manifest
from tests.data.test_broken_inputs import folder, pairs, started

__all__ = ["folder"]  # a fixture


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {  # of the source, of the data module
    "color read as one channel": (
        {"channels": 3},
        {},
        r"case s0 \(.*s0\.png\) has shape \(3, 32, 40\) .* data\.channels=1 .*: correct these two",
    ),
    "images as volumes": (
        {},
        {"spatial_dims": 3, "patch_size": [8, 8, 8]},
        r"case s0 .* has shape \(1, 32, 40\) .* data\.geometry\.spatial_dims=3: correct",
    ),
    "images with context": (
        {},
        {"context": 1},
        r"case s0 .* is no volume: data\.geometry\.context=1 needs slices, set it to 0",
    ),
    "class 3 of 2": (
        {"values": {0: 0, 255: 3}},
        {},
        r"case s0 \(.*s0\.png\) has class 3, but data\.labels\.num_classes=2",
    ),
    "position out of range": ({}, {"val": "3", "test": "4-6"}, r"'4-6' does not lie in the 6 cases, .* 0-5"),
    "sides that overlap": ({}, {"val": "3-4", "test": "4-5"}, r"cases s4 are in two splits"),
    "share above 1": ({}, {"val": 1.5}, r"data\.split\.val=1\.5 .* at least 0 and below 1: write 0\.2 for a fifth"),
    "no case left": ({}, {"val": "0-2", "test": "3-5"}, r"leaves none for train: change data\.split"),
    "unknown case in a list": (
        {},
        {"method": "list", "lists": {"train": ["s0", "s9x"], "val": ["s1"]}},
        r"data\.split\.lists: train has 's9x', no case",
    ),
    "list that is no file": (
        {},
        {"method": "list", "lists": "nowhere.json"},
        r"data\.split\.lists=nowhere\.json is not a file: check the path",
    ),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_settings_that_do_not_fit_the_files(what, folder):
    source, changes, words = SETTINGS[what]
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        started(pairs(folder, **source), **changes)


def replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


PRESCRIBED = {"method": "prescribed"}
TABLES: dict[str, tuple[Callable[[str], str], str]] = {
    "no header": (lambda text: text.partition("\n")[2], r"cases\.csv, columns: it lacks image, mask; has unknown"),
    "unknown side": (replaced("val", "validate"), r"cases\.csv has split validate: it must be train, val or test"),
    "misspelt column": (replaced("group", "grup"), r"has unknown 'grup' \(did you mean 'group'\?\); allowed are image"),
    "path that is not there": (
        replaced("images/s3.png", "images/x.png"),
        r"cases\.csv lists files that are not there: .*images/x\.png: correct the paths",
    ),
    "case twice": (lambda text: f"{text}\n{text.splitlines()[-1]}", r"cases\.csv has s5 more than once as name: keep"),
    "mask left out": (replaced("masks/s3.png", ""), r"cases\.csv has lines without image or mask \(5\): fill them in"),
    "too few values": (replaced(",p1,", ","), r"lines 4, 5 with other than 4 values: correct it, with quotes"),
    "nothing below the header": (lambda text: text.splitlines()[0], r"cases\.csv has no line below its header"),
    "patient on two sides": (replaced("p0,train", "p2,train"), r"p2.* two sides|p2.*(train|val).*(train|val)"),
}


@pytest.mark.parametrize("what", TABLES)
def test_tables(what, folder):
    change, words = TABLES[what]
    table = folder / "cases.csv"
    started(Manifest(table), **PRESCRIBED)
    table.write_text(change(table.read_text()))
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        started(Manifest(table), **PRESCRIBED)


def test_table_that_is_not_there_or_not_text(folder):
    with pytest.raises(FileNotFoundError, match=r"none\.csv is not there: set data\.source\.csv to a CSV file"):
        started(Manifest(folder / "none.csv"))
    (folder / "cases.csv").write_bytes("image,mask\nä,ö".encode("latin-1"))
    with pytest.raises(ValueError, match=r"cases\.csv is not in UTF-8 .*: save it again as CSV in UTF-8"):
        started(Manifest(folder / "cases.csv"))


def test_patient_on_two_sides_of_a_list(folder):
    lists = {"train": ["s0", "s2", "s3"], "val": ["s1"], "test": ["s4", "s5"]}
    with pytest.raises(ValueError, match=r"p0"):
        started(Manifest(folder / "cases.csv"), method="list", lists=lists)


def test_list_that_cannot_be_read(folder):
    (folder / "folds.json").write_text('{"train": [')
    with pytest.raises(ValueError, match=r"folds\.json cannot be read \(.+\): save it as JSON or YAML"):
        started(pairs(folder), method="list", lists=folder / "folds.json")
