"""The blocks of the template put together again are what nilearn loads."""

import sys

import numpy as np
import pytest

from segexp.data.sources import MNI152
from tests.data.sources import names

datasets = pytest.importorskip("nilearn.datasets", reason="nilearn is not installed: pip install 'segexp[mni]'")


@pytest.fixture(scope="module")
def truth():
    """Return T1 image (X, Y, Z), the gray and white matter nilearn has at 3 mm, and the affine."""
    t1 = datasets.load_mni152_template(3)
    gray, white = datasets.load_mni152_gm_template(3), datasets.load_mni152_wm_template(3)
    return t1.get_fdata(), gray.get_fdata(), white.get_fdata(), t1.affine


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_blocks_are_the_template_cut_across_an_axis(truth, axis):
    t1, gray, white, affine = truth
    source = MNI152(resolution=3, blocks=4, axis=axis)
    source.prepare()
    assert names(source) == ["block_00", "block_01", "block_02", "block_03"]
    cases = [source.read(name) for name in names(source)]
    target = np.concatenate([case.target for case in cases], axis)
    image = np.concatenate([case.image[0] for case in cases], axis)
    x, y, z = (np.linalg.inv(affine) @ cases[0].affine[:, 3])[:3].round().astype(int)
    depth, height, width = target.shape
    box = (slice(x, x + width), slice(y, y + height), slice(z, z + depth))
    np.testing.assert_allclose(image, t1[box].T, atol=1e-6)
    clear = (np.diff(np.sort([1 - gray - white, gray, white], axis=0), axis=0)[1] > 1e-6)[box].T
    assert clear.mean() > 0.99
    is_gray = (gray > white) & (gray > 1 - gray - white)
    is_white = (white > gray) & (white > 1 - gray - white)
    np.testing.assert_array_equal((target == 1)[clear], is_gray[box].T[clear])
    np.testing.assert_array_equal((target == 2)[clear], is_white[box].T[clear])
    assert (is_gray | is_white).sum() == (is_gray | is_white)[box].sum()  # the box cuts nothing off
    step = cases[1].affine[:3, 3] - cases[0].affine[:3, 3]
    np.testing.assert_allclose(step[::-1], np.eye(3)[axis] * 3 * cases[0].target.shape[axis])
    lengths = [case.target.shape[axis] for case in cases]
    assert max(lengths) - min(lengths) <= 1


def test_a_block_is_a_case_with_facts_and_files():
    source = MNI152(resolution=3, blocks=5)
    case = source.read("block_02")
    assert (case.spacing, case.spacing_unit, case.orientation) == ((3.0, 3.0, 3.0), "mm", "RAS")
    assert (case.image.dtype, case.target.dtype) == (np.float32, np.uint8)
    assert case.facts["mask_values"] == {label: int((case.target == label).sum()) for label in range(3)}
    assert all(file.is_file() for file in source.entries()[2].files)
    case.target[:] = 7
    assert source.read("block_02").target.max() == 2


def test_gray_matter_is_darker_than_white_and_lies_around_it():
    case = MNI152(resolution=3, blocks=3).read("block_01")
    gray, white = case.image[0][case.target == 1], case.image[0][case.target == 2]
    assert gray.mean() < white.mean()
    assert 0.5 < gray.size / white.size < 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 0}, "resolution=0 must be an integer of at least 1"),
        ({"resolution": 1.5}, "resolution=1.5 must be an integer"),
        ({"blocks": 2}, "blocks=2 must be an integer of at least 3"),
        ({"axis": 3}, "axis=3 is not one of"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        MNI152(**options)


def test_more_blocks_than_slices_and_unknown_blocks():
    with pytest.raises(ValueError, match=r"blocks=500 must be at most \d+, the number of slices"):
        MNI152(resolution=3, blocks=500).read("block_00")
    with pytest.raises(ValueError, match="name='block_3' is not one of .*did you mean 'block_0"):
        MNI152(blocks=3).read("block_3")


def test_without_nilearn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn", None)
    with pytest.raises(ValueError, match=r"nilearn, which is not installed: pip install 'segexp\[mni\]'"):
        MNI152().prepare()
