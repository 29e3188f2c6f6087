"""Copies of images across splits, and masks that several images share."""

import shlex
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from segexp.data import Case
from segexp.data.audit import Audit, audit
from segexp.data.audit.findings import excluding
from segexp.data.case import Entry
from segexp.data.splits import Split
from tests.data.audit.test_audit import found, look


def picture(number: int, name: str = "", size: int = 64) -> Case:
    """Smooth shapes, as photographs have them, and a mask of its own."""
    rng = np.random.default_rng(number)
    image = cv2.resize(rng.random((8, 8), np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    target = np.zeros((size, size), np.uint8)
    target[4:10, number : number + 20] = 1
    return Case(name or f"scan{number}x", (image.clip(0, 1) * 255).astype(np.uint8)[None], target, (1.0, 1.0))


def jpeg(image: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image[0], [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_UNCHANGED)[None]


COPIES = {
    "jpeg": jpeg,
    "smaller": lambda image: cv2.resize(image[0], (40, 40), interpolation=cv2.INTER_AREA)[None],
    "darker": lambda image: image // 2,
    "noisy": lambda image: (image + np.random.default_rng(9).normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8),
    "mirrored": lambda image: image[:, :, ::-1],
    "turned": lambda image: np.rot90(image, 1, (1, 2)),
}


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("sides", ["tttttv", "vttttt", "vtttts"])
def test_a_copy_in_another_split_is_told_with_its_remedy(kind, sides):
    cases = [picture(i) for i in range(5)]
    image = np.ascontiguousarray(COPIES[kind](cases[0].image))
    copy = replace(picture(9), image=image, target=np.zeros(image.shape[1:], np.uint8) + np.uint8(255), name="copy")
    (finding,) = [one for one in look(*cases, copy, sides=sides).findings if "duplicates" in one.rule]
    assert finding.rule == "near duplicates in two splits"
    assert set(finding.cases) == {"scan0x", "copy"}
    assert finding.remedy in ("data.split.exclude=[copy]", "data.split.exclude=[scan0x]")
    assert "scan0x" in finding.sentence
    assert "copy" in finding.sentence


def test_different_images_and_copies_in_one_split_are_not_told():
    cases = [picture(i) for i in range(6)]
    assert found(look(*cases)) == {}
    copy = replace(picture(9), image=jpeg(cases[0].image))
    assert found(look(copy, *cases)) == {}


def grouped(*cases: Case, groups: str) -> Audit:
    kept = {one.name: one for one in cases}
    entries = [Entry(one.name, group=group) for one, group in zip(cases, groups, strict=True)]
    names = tuple(kept)
    split = Split(names[:-1], names[-1:], ())
    return audit(entries, lambda entry: kept[entry.name], lambda case: None, lambda: split, ("background", "cell"))


def test_neighboring_slices_stand_apart():
    cases = [picture(i) for i in range(4)]
    first, last = picture(8, "p1_slice_07"), replace(picture(9, "p1_slice_08"), image=jpeg(picture(8).image))
    result = look(*cases, first, last)
    assert found(result) == {"warning: neighbors in two splits": ("p1_slice_07", "p1_slice_08")}
    assert result.findings[0].remedy == "data.split.method=contiguous"
    far = replace(last, name="p1_slice_38")
    assert found(look(*cases, first, far)) == {"warning: near duplicates in two splits": ("p1_slice_07", "p1_slice_38")}
    other = replace(last, name="p2_slice_08")
    assert found(look(*cases, first, other)) == {
        "warning: near duplicates in two splits": ("p1_slice_07", "p2_slice_08")
    }
    assert found(grouped(*cases, first, last, groups="abcdee")) == {}


def test_one_mask_for_two_images():
    cases = [picture(i) for i in range(5)]
    twice = replace(cases[1], target=cases[0].target)
    result = look(cases[0], twice, *cases[2:])
    assert found(result) == {"warning: shared masks": ("scan0x", "scan1x")}
    assert result.findings[0].remedy == "data.split.exclude=[scan1x]"


@pytest.mark.parametrize(
    "name", ["plain_1.a", "a b, [c]", "it's", "7", "null", "a/b=c", "ä{x: 1}", 'say "so"', "a\\\\'"]
)
def test_a_remedy_can_be_pasted_whatever_the_names(name):
    (word,) = shlex.split(excluding([name, "other"], 4))
    override = OverridesParser.create().parse_override(word)
    assert override.key_or_group == "data.split.exclude"
    assert [str(item) for item in override.value()] == [name, "other"]
