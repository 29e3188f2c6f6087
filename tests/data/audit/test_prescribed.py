"""Splits that a data set prescribes, followed or not."""

from segexp.data.audit.prescribed import not_followed
from segexp.data.case import Entry

ENTRIES = [Entry("a", split="train"), Entry("b", split="val"), Entry("c", split="test")]


def test_cases_that_are_held_out_and_train_are_named():
    (found,) = not_followed(ENTRIES, {"a": "test", "b": "train", "c": "val"})
    assert (found.level, found.rule, found.cases) == ("warning", "prescribed splits", ("b", "c"))
    assert (
        "2 of 3 cases are held out by the data set, and are not here: b (val) in train, c (test) in val"
        in found.sentence
    )
    assert found.remedy == "data.split.method=prescribed"
    (found,) = not_followed([*ENTRIES, Entry("d")], {"c": "train"})
    assert found.remedy == ""


def test_what_follows_them_or_holds_out_more_is_quiet():
    assert not list(not_followed(ENTRIES, {"a": "train", "b": "val", "c": "test"}))
    assert not list(not_followed(ENTRIES, {"a": "test", "b": "test"}))
    assert not list(not_followed([Entry("a"), Entry("b")], {"a": "train", "b": "test"}))
