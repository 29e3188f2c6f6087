from dataclasses import replace

import numpy as np
import pytest
from skimage.transform import rotate

from segexp.data.case import IGNORED, Case
from segexp.stress.geometry import crop, moved, rotation, scaling
from segexp.stress.scan import Scan
from tests.stress.examples import KINDS, case_of, slice_case, volume


class Signs:
    """Random numbers that always choose this sign, and this fraction."""

    def __init__(self, sign: int, fraction: float = 0.0) -> None:
        self.sign = sign
        self.fraction = fraction

    def choice(self, _: object) -> int:
        return self.sign

    def uniform(self) -> float:
        return self.fraction


def full(case: Case) -> Case:
    """With a second observer, a field of view and numbered objects."""
    assert case.target is not None
    objects = case.target.astype(np.int32) * 300
    return replace(case, others={"second": case.target}, valid=np.ones(case.target.shape, bool), instances=objects)


def test_a_quarter_turn_moves_image_and_labels_alike():
    case = full(case_of(32, 32))
    turned = rotation(case, 90.0, Signs(1))
    assert turned.image[0] == pytest.approx(np.rot90(case.image[0], -1), rel=1e-3, abs=0.5)
    for mine, before in (
        (turned.target, case.target),
        (turned.others["second"], case.target),
        (turned.instances, case.instances),
    ):
        assert (mine == np.rot90(before, -1)).all()
    assert turned.instances.dtype == np.int32


def test_a_turn_is_that_of_scikit_image_inside():
    case = case_of(41, 41)
    expected = rotate(case.image[0], -20, order=1, mode="reflect", preserve_range=True)
    inside = (slice(10, 31),) * 2
    assert rotation(case, 20.0, Signs(1)).image[0][inside] == pytest.approx(expected[inside], abs=2)


def test_a_volume_turns_within_its_slices():
    case = volume()
    turned = rotation(case, 90.0, Signs(1))
    square = case.image[0, 3, :, 2:34]
    assert turned.image[0, 3, 1:-1, 3:33] == pytest.approx(np.rot90(square, -1)[1:-1, 1:-1], rel=1e-3, abs=0.5)


def test_what_comes_from_outside_counts_nowhere():
    case = full(slice_case())
    turned = rotation(case, 30.0, Signs(-1))
    assert turned.target[0, 0] == IGNORED
    assert not turned.valid[0, 0]
    assert turned.instances[0, 0] == 0
    assert np.isfinite(turned.image).all()
    assert (turned.target[18:22, 20:28] != IGNORED).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_structure_grows_or_shrinks_by_the_factor(sign):
    target = np.zeros((60, 60), np.uint8)
    target[20:40, 20:40] = 1
    case = Case("square", target[None].astype(np.float32), target, (1.0, 1.0))
    area = (scaling(case, 50.0, Signs(sign)).target == 1).sum()
    assert area == pytest.approx(400 * 1.5 ** (2 * sign), rel=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_a_crop_cuts_all_arrays_in_the_plane(kind):
    case = full(KINDS[kind]())
    cut = crop(case, 25.0, Signs(1, 0.5))
    first, second = Scan.of(case).plane
    for axis, (before, after) in enumerate(zip(case.image.shape[1:], cut.image.shape[1:], strict=True)):
        assert after == (round(0.75 * before) if axis in (first, second) else before)
    for array in (cut.target, cut.valid, cut.instances, cut.others["second"]):
        assert array.shape == cut.image.shape[1:]


def test_a_crop_keeps_its_place_in_the_body():
    case = replace(volume(), affine=np.diag([1.0, 1.0, 3.0, 1.0]))
    cut = crop(case, 25.0, Signs(1, 1.0))
    x, y = 36 - cut.image.shape[3], 32 - cut.image.shape[2]
    assert cut.affine[:3, 3] == pytest.approx([x, y, 0])
    assert case.affine[:3, 3] == pytest.approx(0)
    assert (cut.image == case.image[:, :, y:, x:]).all()


def test_integers_stay_integers():
    case = case_of(24, 24, dtype="int16")
    assert moved(case, np.eye(2)).image.dtype == np.int16
    assert moved(case, np.eye(2)).image == pytest.approx(case.image, abs=1)
