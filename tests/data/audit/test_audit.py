"""What the audit finds, rule by rule, and that it is quiet about data as they should be."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segexp.build import build_data
from segexp.config import compose, plain
from segexp.data import Case, Entry
from segexp.data.audit import Audit, audit
from segexp.data.audit.measures import row
from segexp.data.files.mask_values import file_facts, map_values
from segexp.data.reference import deviations, reference_of
from segexp.data.splits import Split

SIZE = (20, 20)


def case(number: int, **changes) -> Case:
    """Noise with a square in it, foreground 9 %, and the facts that sources tell."""
    image = np.random.default_rng(number).integers(0, 256, (1, *SIZE), dtype=np.uint8)
    target = np.zeros(SIZE, np.uint8)
    target[4:10, 1 + number : 7 + number] = 1
    made = Case(f"case_{number}", image, target, (1.0, 1.0), facts=file_facts(image, 255 * target))
    return replace(made, **changes)


def look(*cases: Case, names=("background", "cell"), check=lambda case: None, sides: str = "", handled=()) -> Audit:
    """Audit cases; ``sides`` is a letter per case, t, v or s (scored); all train but the last if it is empty."""
    sides = sides or "t" * (len(cases) - 1) + "v"
    parts = {side: tuple(c.name for c, mark in zip(cases, sides, strict=True) if mark == side) for side in "tvs"}
    entries = [Entry(c.name) for c in cases]
    kept = {c.name: c for c in cases}
    split = lambda: Split(parts["t"], parts["v"], parts["s"])  # noqa: E731
    return audit(entries, lambda entry: kept[entry.name], check, split, names, handled)


def found(result: Audit) -> dict[str, tuple[str, ...]]:
    return {f"{one.level}: {one.rule}": one.cases for one in result.findings}


def labeled(number: int, target: np.ndarray) -> Case:
    made = case(number)
    return replace(made, target=target, facts=file_facts(made.image, 255 * target))


def test_nothing_is_found_in_data_as_they_should_be():
    result = look(*[case(i) for i in range(5)])
    assert result.findings == ()
    assert result.summary("segexp audit shows them") == "audit: 5 cases, no errors, no warnings"
    result.raise_errors()
    assert result.split.val == ("case_4",)


def test_all_offenders_are_told_at_once():
    def check(one: Case) -> None:
        if one.name in ("case_1", "case_3"):
            raise ValueError(f"{one.name} is broken")

    result = look(*[case(i) for i in range(5)], check=check)
    assert [one.name for one in result.measures] == ["case_0", "case_2", "case_4"]
    with pytest.raises(ValueError, match="audit of 5 cases found 2 errors:\ncase_1 is broken\ncase_3 is broken"):
        result.raise_errors()
    assert result.summary("look") == "audit: 5 cases, 2 errors (cannot be used), no warnings; look"


def test_one_fault_of_many_cases_is_told_once():
    def check(one: Case) -> None:
        raise ValueError("dataset.json has no labels")

    result = look(case(0), case(1), case(2), check=check)
    assert found(result) == {"error: cannot be used": ("case_0", "case_1", "case_2")}
    with pytest.raises(ValueError, match="^dataset.json has no labels$"):
        result.raise_errors()
    assert result.overview() == {"cases": "3, none of which can be used"}


def test_a_split_that_fails_does_not_hide_the_cases():
    result = look(case(0), case(1), sides="tt")
    assert found(result) == {"error: split": ()}
    assert "leaves none for val" in result.findings[0].sentence
    assert result.split is None
    assert [one.split for one in result.measures] == ["", ""]


def test_values_that_are_not_finite_are_counted():
    image = case(0).image.astype(np.float32)
    image[0, :2, :3] = np.nan
    image[0, 5, 5] = np.inf
    result = look(case(0, image=image, files=(Path("a/b.tif"),)), case(1), case(2))
    assert "case case_0 (a/b.tif) has 7 of 400 values that are NaN or infinite" in result.findings[0].sentence


def test_names_that_come_twice():
    entries = [Entry("a"), Entry("b"), Entry("a")]
    result = audit(entries, lambda entry: case(0), lambda case: None, lambda: Split(("a",), ("b",), ()), ("x", "y"))
    assert "error: names" in found(result)


def test_equal_images():
    same, masks = case(0).image, [case(0).target, np.fliplr(case(0).target)]
    copy = replace(case(0), name="case_1")
    quiet = [case(i) for i in range(2, 5)]
    assert found(look(case(0), copy, *quiet)) == {"warning: duplicates": ("case_0", "case_1")}
    result = look(case(0), *quiet, copy)
    assert found(result) == {"error: equal images in two splits": ("case_0", "case_1")}
    assert "(case_0 (t) = case_1 (v))".replace("t)", "train)").replace("v)", "val)") in result.findings[0].sentence
    unlike = replace(copy, target=masks[1])
    assert found(look(case(0), unlike, *quiet)) == {"warning: contradicting masks": ("case_0", "case_1")}
    assert set(found(look(case(0), *quiet, unlike))) == {
        "error: equal images in two splits",
        "warning: contradicting masks",
    }
    other_type = case(1, image=same.astype(np.float32), facts={})
    assert "warning: duplicates" not in found(look(case(0), other_type, *quiet))


def test_blank_images_are_no_duplicates():
    blank = np.zeros((1, *SIZE), np.uint8)
    result = look(case(0, image=blank), case(1), case(2, image=blank))
    assert found(result) == {"warning: constant images": ("case_0", "case_2")}


def test_masks_of_one_class():
    empty, full = labeled(0, np.zeros(SIZE, np.uint8)), labeled(1, np.ones(SIZE, np.uint8))
    nothing = case(2, target=np.full(SIZE, 255, np.uint8))
    result = look(empty, full, nothing, *[case(i) for i in range(3, 9)])
    assert found(result) == {
        "warning: unlabeled masks": ("case_2",),
        "warning: empty masks": ("case_0",),
        "warning: full masks": ("case_1",),
        "warning: swapped classes": ("case_1",),
    }
    assert result.rules("case_1") == ["full masks", "swapped classes"]


def test_classes_that_training_does_not_have():
    rare = case(9).target.copy()
    rare[:2, :2] = 2
    names = ("background", "cell", "spore", "virus")
    result = look(case(0), case(1), case(2, target=rare), names=names, sides="tvs")
    assert [one.sentence for one in result.of("warning")] == [
        "no training case has spore (class 2), but case_2 have it: change data.split so that training sees it",
        "no training case has virus (class 3), nor any other: check the values of the masks, or take it out of "
        "data.labels.class_names",
    ]


def test_intensity_scales_and_types():
    cases = [case(i) for i in range(5)]
    wide = case(5, image=case(5).image.astype(np.float32) * 1000 + 3, facts={})
    result = look(*cases, wide)
    assert found(result) == {"warning: intensity scales": ("case_5",), "warning: mixed types": ("case_5",)}
    assert "(uint8 in 5, float32 in 1)" in result.of("warning")[1].sentence
    twice = case(5, image=case(5).image // 2)
    assert found(look(*cases, twice)) == {}


def test_images_whose_range_single_pixels_make():
    hot = case(0)
    image = hot.image.astype(np.uint16)
    image[0, 3, 3] = 65535
    result = look(
        *[case(i, image=case(i).image.astype(np.uint16), facts={}) for i in (1, 2)], case(0, image=image, facts={})
    )
    assert found(result) == {"warning: hot pixels": ("case_0",)}
    assert f"such as {image.min()} to 65535 in case_0, where all others lie within" in result.findings[0].sentence


def test_long_pixels():
    volume = np.random.default_rng(0).integers(0, 256, (3, 1, 6, 20, 20), dtype=np.uint8)
    cases = [case(i, image=volume[i], target=None, spacing=(5.0, 1.0, 1.0), facts={}) for i in range(3)]
    result = look(*cases)
    assert found(result) == {"warning: anisotropy": ("case_0", "case_1", "case_2")}
    assert (
        "up to 5 times longer along one axis than along another, such as case_0 with 5×1×1"
        in result.findings[0].sentence
    )
    assert result.findings[0].remedy.startswith("data.geometry.spatial_dims=2 data.geometry.slice_axis=0 ")
    assert found(look(*cases, handled=["anisotropy"])) == {}
    near = [case(i, image=volume[i], target=None, spacing=(3.0, 1.0, 1.0), facts={}) for i in range(3)]
    assert found(look(*near)) == {}
    flat = [case(i, spacing=(1.0, 4.0)) for i in range(3)]
    assert look(*flat).findings[0].remedy == "data.geometry.spacing=[1,1]"


def test_foreground_thinner_than_the_first_stride():
    lines = [case(i).target.copy() for i in range(3)]
    for target in lines:
        target[5:9, :] = 0
        target[10:, :] = 0
        target[4:10:5, 15] = 1
    result = look(*[labeled(i, lines[i]) for i in range(3)], case(3), case(4))
    assert found(result) == {"warning: thin foreground": ("case_0", "case_1", "case_2")}
    assert result.findings[0].remedy == "data.geometry.spacing=[0.5,0.5]"
    assert found(look(*[labeled(i, lines[i]) for i in range(2)], case(3), case(4), case(5))) == {}


def test_classes_that_are_not_scored():
    both = [case(i).target.copy() for i in range(4)]
    for target in both[:2]:
        target[14:18, 14:18] = 2
    cases = [labeled(i, both[i]) for i in range(4)]
    result = look(*cases, names=("background", "cell", "spore"), sides="ttvs")
    assert set(found(result)) == {"warning: classes not in val", "warning: classes not in test"}
    assert result.findings[0].sentence.startswith("no val case has spore (class 2): ")
    assert result.findings[0].remedy == "data.split.method=random"


def test_pixel_sizes_and_what_the_configuration_handles():
    cases = [case(0, spacing=(1.0, 0.5)), case(1), case(2, spacing=(1.0, 1.3), spacing_unit="mm")]
    result = look(*cases)
    assert found(result) == {"warning: pixel sizes": ("case_0", "case_2")}
    assert "1×0.5 px in case_0 and 1×1.3 mm in case_2, 2.6-fold apart" in result.findings[0].sentence
    assert found(look(*cases, handled=["pixel sizes"])) == {}


def test_class_imbalance():
    tiny = np.zeros((3, 40, 40), np.uint8)
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 40, 40), dtype=np.uint8)
    for number in range(3):
        tiny[number, 3:5, number : 2 + number] = 1
    result = look(*[case(i, image=images[i], target=tiny[i], facts={}) for i in range(3)])
    assert "foreground makes 0.25% of the labeled pixels" in result.findings[0].sentence
    assert result.findings[0].remedy == "data.sampling.foreground_fraction=0.5"
    assert set(found(result)) == {"warning: class imbalance"}


def test_swapped_classes():
    cases = [case(i) for i in range(5)]
    swapped = [labeled(i, 1 - cases[i].target) for i in range(5)]
    assert "cell makes 91.0% of the labeled pixels" in look(*swapped).of("warning")[0].sentence
    assert found(look(*cases[:4], swapped[4])) == {"warning: swapped classes": ("case_4",)}
    assert "warning: swapped classes" not in found(look(*swapped, names=("a", "b", "c"), handled=[]))


def test_polarity_is_told_where_foreground_is_dark():
    dark = [replace(case(i), facts=file_facts(case(i).image, 255 - 255 * case(i).target)) for i in range(3)]
    result = look(*dark)
    assert [one.sentence for one in result.findings] == [
        "foreground is dark in the mask files: 0 is cell, 255 is background"
    ]
    assert result.of("note") == list(result.findings)


def test_blurred_masks_are_told_from_many_classes():
    raw = 255 * case(0).target
    jpeg = raw.copy()
    jpeg[0, :3], jpeg[5, 5:8] = (1, 4, 9), (240, 251, 254)
    target = map_values(jpeg, {0: 0, 255: 1}, 20, Path("a.jpg"))
    blurred = case(0, target=target, facts=file_facts(case(0).image, jpeg))
    assert found(look(blurred, case(1), case(2))) == {"warning: blurred masks": ("case_0",)}

    instances = np.arange(400).reshape(SIZE) // 90  # 0 to 4, all but 0 are cells
    merged = [
        case(i, target=(instances > 4 - i).astype(np.uint8), facts=file_facts(case(i).image, instances)) for i in (1, 2)
    ]
    assert found(look(*merged)) == {}
    partly = []
    for number in range(2):
        ignored = case(number).target.copy()
        ignored[0, 0] = 255
        partly.append(case(number, target=ignored, facts=file_facts(case(number).image, ignored)))
    assert found(look(*partly)) == {}


def numbered(number: int, instances: list, target: list | None = None) -> Case:
    numbers = np.repeat(np.array([instances], np.int32), 4, axis=0)
    classes = np.repeat(np.array([np.minimum(instances, 1) if target is None else target], np.uint8), 4, axis=0)
    image = np.random.default_rng(number).integers(0, 200, (1, *numbers.shape), np.uint8)
    return Case(f"case_{number}", image, classes, (1.0, 1.0), instances=numbers, facts=file_facts(image, numbers))


def test_objects_that_touch_are_counted():
    apart = [numbered(i, list(np.roll([1, 1, 0, 3, 3, *[0] * 7], i))) for i in range(3)]
    assert look(*apart).findings == ()
    touching = numbered(3, [1, 1, 2, 2, 0, 0, 2, 2, 3, 0, 4, 4], [1, 1, 1, 1, 0, 0, 1, 1, 2, 0, 255, 255])
    findings = look(*apart, touching, names=("ground", "a", "b")).findings
    (finding,) = [one for one in findings if one.rule == "touching objects"]
    assert (finding.level, finding.cases) == ("note", ("case_3",))
    assert "22% of the objects (2 of 9) touch another: connected components would count 9" in finding.sentence
    overview = look(*apart, touching).overview()
    assert overview["objects"] == "9, of which 2 touch another"
    columns = [row(one, ("ground", "a"), []) for one in look(apart[0], touching, case(5)).measures]
    assert [(each["objects"], each["touching"]) for each in columns] == [(2, 0), (3, 2), ("", "")]


def test_values_that_may_number_objects_are_told():
    def masks(*counts: int) -> list[Case]:
        made = [numbered(i, [0, 0, *range(1, 1 + count), 0, 0, *[0] * (40 - count)]) for i, count in enumerate(counts)]
        return [replace(one, instances=None) for one in made]

    rule = "note: numbered masks"
    result = look(*masks(3, 12, 7))
    assert list(found(result)) == [rule]
    assert "masks have up to 13 values without a gap" in result.findings[0].sentence
    assert rule not in found(look(*masks(12, 12, 12)))  # classes, many of which are merged
    assert rule not in found(look(*masks(3, 8, 7)))
    assert rule not in found(look(*masks(3, 12, 7), names=tuple("abcdefghijklmn")))
    numbers = [numbered(i, [0, *range(1, 1 + count), *[0] * (19 - count)]) for i, count in enumerate((3, 12))]
    assert rule not in found(look(*numbers))


def test_gray_in_color_sizes_and_orientations_are_notes():
    gray = case(0, image=np.repeat(case(0).image, 3, axis=0))
    color = case(1, image=np.random.default_rng(1).integers(0, 255, (3, *SIZE), dtype=np.uint8), orientation="LPS")
    small = case(2, image=color.image[:, :10, 2:], target=color.target[:10, 2:], orientation="RAS")
    result = look(gray, color, small)
    assert found(result) == {
        "note: gray in color": ("case_0",),
        "note: sizes": (),
        "note: orientations": ("case_1",),
    }
    assert "from 10×18 to 20×20" in result.findings[1].sentence


def test_overview_says_what_is_there():
    cases = [case(0), case(1), case(2, image=case(2).image.astype(np.float32), facts={})]
    facts = look(*cases).overview()
    assert facts["cases"] == "3"
    assert facts["splits"] == "train 2, val 1"
    assert facts["type"] == "uint8 (2), float32 (1)"
    assert facts["class 1, cell"] == "9.00% of the labeled pixels, in 3 cases"
    assert facts["values in mask files"] == "0 (91.00%), 255 (9.00%)"


REAL = {  # what fires on the data sets as they are configured
    "isbi": {"note: polarity"},
    "hippocampus": {"warning: intensity scales", "warning: mixed types", "note: sizes"},
    "chase": set(),
    "nuclei": {"note: touching objects", "note: gray in color", "note: alpha channels", "note: sizes"},
    "polyps": {"warning: blurred masks", "note: sizes"},
    "drive": set(),
    "synthetic": set(),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "hippocampus" else ()) for name in REAL]
)
def test_real_data_sets(name, monkeypatch):
    if "SEGEXP_DATA_DIR" not in os.environ and name != "synthetic":
        pytest.skip("needs real data: set SEGEXP_DATA_DIR")
    config = plain(compose([f"data={name}", "data.cache=null"], run_dir="unused"))
    result, cases = build_data(config).audit()
    assert set(found(result)) == REAL[name]  # no hot pixels: none of 466 images is clipped
    reference = reference_of([cases[train] for train in result.split.train])
    held_out = [*result.split.val, *result.split.test]
    assert [found for other in held_out for found in deviations(cases[other], reference)] == []
    if name == "hippocampus":  # as its makers count them
        assert len(found(result)["warning: mixed types"]) == 55
