"""Patterns of paths, and what they tell of a case."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segexp.data.sources.listing import Found
from segexp.data.sources.patterns import Key, Pattern, SuffixPattern


def found(path: str) -> Found:
    return Found(Path("root") / path, path, path.rpartition(".")[0])


@pytest.mark.parametrize(
    ("pattern", "path", "key"),
    [
        ("{name}", "a.png", Key("a")),
        ("{name}", "p/a.png", None),
        ("{name}_mask", "a_mask.png", Key("a")),
        ("{name}_mask", "a_mask_1.png", None),
        ("{name}_mask*", "a_mask_1.png", Key("a")),
        ("{group}/{group}_{name}_gt", "p1/p1_7_gt.nii", Key("7", "p1")),
        ("{group}/{group}_{name}_gt", "p1/p2_7_gt.nii", None),
        ("{name}/masks/*", "a/masks/0.png", Key("a")),
        ("{split}/{stratum}/{name}", "Validation/ill/7.png", Key("7", split="val", stratum="ill")),
        ("{name}.png", "a.png", Key("a")),
        ("{name}.png", "a.tif", None),
        ("a+({name})", "a+(1).png", Key("1")),
    ],
)
def test_matches(pattern, path, key):
    assert Pattern(pattern, "mask_pattern").match(found(path)) == key


@pytest.mark.parametrize(
    ("suffix", "path", "key"),
    [
        ("", "a.png", Key("a")),
        ("", "p1/day/a.png", Key("p1/day/a", "p1")),
        ("_m", "p1/a_m.png", Key("p1/a", "p1")),
        ("", "Val/a.png", Key("Val/a", split="val")),
        ("", "test/p1/a.png", Key("test/p1/a", "p1", "test")),
        ("_m", "a.png", None),
        ("_m", "_m.png", None),
        ("_m", "p1/_m.png", None),
    ],
)
def test_suffixes_match_in_any_subfolder(suffix, path, key):
    rule = SuffixPattern(suffix, "mask_suffix")
    assert rule.match(found(path)) == key
    assert key is None or rule.path_of(key) == path.rpartition(".")[0]


WORDS = st.text("ab1_-. +({é", min_size=1, max_size=5)


@given(name=WORDS, group=WORDS, split=st.sampled_from(["train", "val", "test"]))
@pytest.mark.parametrize("text", ["{group}/{name}", "{name}_gt/{group}/{split}", "{split}/{group}/{name}/{name}.1"])
def test_what_was_made_from_a_key_gives_the_key(text, name, group, split):
    pattern = Pattern(text, "mask_pattern")
    key = Key(name, group, split if "{split}" in text else "")
    stem = pattern.path_of(key)
    assert pattern.match(Found(Path(stem), f"{stem}.png", stem)) == key


@pytest.mark.parametrize(
    ("key", "case"),
    [
        (Key("a"), "a"),
        (Key("p1/day/a", "p1"), "p1_day_a"),
        (Key("test/p1/a", "p1", "test"), "test_p1_a"),
        (Key("patient1/patient1_frame2", "patient1"), "patient1_frame2"),
        (Key("7", "p1"), "p1_7"),
        (Key("7", "p1", "test", "ill"), "test_ill_p1_7"),
    ],
)
def test_names_of_cases(key, case):
    assert key.case == case


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("masks/*", r"mask_pattern='masks/\*' must have \{name\} where"),
        ("{nme}", r"mask_pattern='\{nme\}': field='nme' is not one of .*did you mean 'name'"),
        ("", "must have {name}"),
    ],
)
def test_patterns_that_are_none(pattern, message):
    with pytest.raises(ValueError, match=message):
        Pattern(pattern, "mask_pattern")
