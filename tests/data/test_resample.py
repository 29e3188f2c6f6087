import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.processing import resample_from_to
from scipy.ndimage import zoom

from segexp.data.case import Case
from segexp.data.resample import resample, resize_image, resize_labels


def volume(shape=(6, 9, 8), spacing=(3.0, 1.0, 2.0)) -> Case:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, *shape)).astype(np.float32)
    labels = rng.integers(0, 3, shape, np.uint8)
    affine = np.diag([*spacing[::-1], 1.0])
    affine[:3, 3] = [5, -7, 11]
    more = {"valid": labels < 2, "others": {"b": labels[::-1]}, "instances": labels * np.int32(7)}
    return Case("v", image, labels, spacing, "mm", affine=affine, **more)


def test_size_and_spacing_follow_and_the_extent_stays():
    case = resample(volume(), (1.0, 1.5, 1.0))
    assert case.image.shape == (2, 18, 6, 16)
    assert case.target.shape == case.valid.shape == case.others["b"].shape == (18, 6, 16)
    np.testing.assert_array_equal(case.instances, case.target * np.int32(7))
    extent = np.multiply(case.image.shape[1:], case.spacing)
    np.testing.assert_allclose(extent, np.multiply((6, 9, 8), (3, 1, 2)))


@pytest.mark.parametrize("size", [(12, 4, 8), (3, 9, 20), (6, 9, 8), (1, 1, 1)])
def test_image_equals_scipy(size):
    image = volume().image[:1]
    wanted = zoom(
        image[0], [m / n for m, n in zip(size, (6, 9, 8), strict=True)], order=1, grid_mode=True, mode="nearest"
    )
    np.testing.assert_allclose(resize_image(image, size)[0], wanted, atol=1e-5)


def test_affine_puts_the_new_pixels_where_nibabel_expects_them():
    """Resampling by the affine alone must give our image wherever it needs no values beyond the border."""
    case = volume((8, 10, 12), (2.0, 2.0, 2.0))
    fine = resample(case, (1.0, 1.0, 1.0))
    old = nib.Nifti1Image(case.image[0].T, case.affine)
    wanted = resample_from_to(old, (fine.image.shape[:0:-1], fine.affine), order=1, mode="nearest").get_fdata().T
    np.testing.assert_allclose(fine.image[0], wanted, atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=3).flatmap(
        lambda shape: st.tuples(st.just(shape), st.lists(st.integers(1, 12), min_size=len(shape), max_size=len(shape)))
    )
)
def test_labels_are_never_invented_and_the_same_size_changes_nothing(sizes):
    shape, size = sizes
    labels = np.random.default_rng(1).choice([0, 2, 255], shape).astype(np.uint8)
    resized = resize_labels(labels, size)
    assert resized.shape == tuple(size)
    assert resized.dtype == np.uint8
    assert set(np.unique(resized)) <= set(np.unique(labels))
    np.testing.assert_array_equal(resize_labels(labels, shape), labels)
    doubled = resize_labels(labels, [2 * n for n in shape])
    np.testing.assert_array_equal(resize_labels(doubled, shape), labels)


def test_a_fitting_spacing_changes_nothing():
    case = volume()
    assert resample(case, (3.01, 1.0, 2.0)) is case
