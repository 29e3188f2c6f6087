"""What is far from the training cases is told with both numbers, and what is near is not told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segexp.data.case import Case
from segexp.data.reference import deviations, reference_of


def case(number: int, *size: int, channels: int = 1, **changes) -> Case:
    rng = np.random.default_rng(number)
    shades = np.arange(channels, 0, -1).reshape(-1, *[1] * len(size))
    image = (rng.normal(100, 30, (channels, *size)) + 20 * shades).clip(0, 255).astype(np.uint8)
    made = Case(f"case_{number}", image, None, (1.0,) * len(size), "mm", files=(Path("a.png"),))
    return replace(made, **changes)


FLAT = reference_of([case(i, 40, 50) for i in range(4)])
COLOR = reference_of([case(i, 40, 50, channels=3) for i in range(12)])
AFFINE = np.diag([1.0, 1, 1, 1])
VOLUME = reference_of([case(i, 10, 40, 50, orientation="RAS", affine=AFFINE) for i in range(4)])


def rules(one: Case, reference=FLAT) -> dict[str, str]:
    return {found.rule: found.sentence for found in deviations(one, reference)}


def tilted(degrees: float) -> np.ndarray:
    turn = np.eye(4)
    angle = np.radians(degrees)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn


def test_cases_like_those_of_the_training_are_not_told():
    assert rules(case(9, 40, 50)) == rules(case(9, 40, 50, channels=3), COLOR) == {}
    assert rules(case(9, 10, 40, 50, orientation="LPS", affine=AFFINE), VOLUME) == {}
    assert deviations(case(9, 4, 4), None) == []


@pytest.mark.parametrize("change", [lambda x: x / 255, lambda x: x * 257.0, lambda x: x + 1024.0, lambda x: 50 + 0 * x])
def test_intensities_of_another_scale_or_offset(change):
    near = case(9, 40, 50)
    found = rules(replace(near, image=change(near.image)))
    assert list(found) == ["intensities"]
    low, high = np.percentile(change(near.image), [0.5, 99.5])
    assert f"from {low:.6g} to {high:.6g} (0.5th to 99.5th percentile), in training from " in found["intensities"]


def test_intensities_are_those_of_the_field_of_view():
    near = case(9, 40, 50)
    image, valid = near.image.copy(), np.ones((40, 50), bool)
    image[0, :, :25], valid[:, :25] = 60_000 % 251, False
    wide = image.astype(np.float32)
    wide[0, :, :25] = 60_000
    assert list(rules(replace(near, image=wide))) == ["intensities"]
    assert rules(replace(near, image=wide, valid=valid)) == {}


def test_gray_in_place_of_color_and_channels_in_another_order():
    near = case(9, 40, 50, channels=3)
    gray = replace(near, image=np.repeat(near.image[:1], 3, axis=0))
    assert "all 3 channels are equal" in rules(gray, COLOR)["channels"]
    turned = replace(near, image=near.image[::-1])
    assert "[2, 1, 0], in all 12 training cases [0, 1, 2]" in rules(turned, COLOR)["channels"]
    few = reference_of([case(i, 40, 50, channels=3) for i in range(3)])
    assert rules(turned, few) == {}


def test_sizes_and_spacings():
    assert rules(case(9, 40, 201))["size"].startswith("it has 40×201 pixels, in training 40×50: ")
    assert rules(case(9, 9, 50))["size"].startswith("it has 9×50 pixels")
    assert rules(case(9, 40, 200)) == {}
    wide = case(9, 40, 50, spacing=(1.0, 2.1))
    assert rules(wide)["spacing"].startswith("a pixel measures 1×2.1 mm, in training 1×1 mm: ")
    assert rules(replace(wide, spacing_unit="px")) == {}
    assert rules(case(9, 10, 40, 50)) == {}  # a stack: its pages count


def test_volumes_that_lie_askew_or_do_not_tell():
    assert rules(case(9, 10, 40, 50, orientation="RAS", affine=tilted(15)), VOLUME) == {}
    askew = rules(case(9, 10, 40, 50, orientation="RAS", affine=tilted(40)), VOLUME)
    assert askew["orientation"].startswith("its axes are 40 degrees off those of the body, in training 0 at most")
    stack = case(9, 10, 40, 50)
    assert "does not tell how it lies, in training files told RAS" in rules(stack, VOLUME)["orientation"]
    assert rules(replace(stack, files=()), VOLUME) == {}  # an array, by contract in these axes
