import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import Affine
from scipy import ndimage
from scipy.interpolate import CubicSpline

from segexp.data.augmentation import spatial
from segexp.data.augmentation.augment import Augment
from segexp.data.augmentation.spatial import AffineElastic, interpolated, nearest, places_of, rotation

few = settings(max_examples=8, deadline=None, derandomize=True)
sizes = st.sampled_from([(14, 18), (9, 14, 17), (1, 12, 15), (16, 8, 9)])
NONE = {"p_rotation": 0, "p_scaling": 0, "p_elastic": 0}


def smooth(size: tuple[int, ...], channels: int = 1) -> np.ndarray:
    noise = np.random.default_rng(0).random((*size, channels)).astype(np.float32)
    return ndimage.gaussian_filter(noise, (*(1,) * len(size), 0), mode="mirror")


def drawn(transform: AffineElastic, image: np.ndarray, mask: np.ndarray, seed: int = 0, spacing=None):
    return Augment([transform])(image, mask, None, np.random.default_rng(seed), spacing)[:2]


@few
@given(size=sizes, seed=st.integers(0, 1000), spread=st.sampled_from([1.0, 4.0]))
def test_an_affine_map_is_that_of_scipy(size, seed, spread):
    """Also far beyond the border, and where pixels are not cubes."""
    rng, axes = np.random.default_rng(seed), len(size)
    spacing = np.array([spread, 1, 0.7])[-axes:]
    matrix = rotation(rng.uniform(-35, 35, axes * (axes - 1) // 2), spacing) / rng.uniform(0.8, 1.3)
    image = smooth(size)
    places = places_of(size, spacing, matrix, np.zeros((axes, *(3,) * axes)))
    in_pixels = matrix * spacing / spacing[:, None]
    center = (np.array(size) - 1) / 2
    offset = center - in_pixels @ center
    expected = ndimage.affine_transform(image[..., 0], in_pixels, offset, order=1, mode="mirror")
    np.testing.assert_allclose(interpolated(image, places)[..., 0], expected, atol=2e-3)
    labels = (image[..., 0] * 50).astype(np.uint8)
    expected = ndimage.affine_transform(labels, in_pixels, offset, order=0, mode="mirror")
    assert np.mean(nearest(labels, places) != expected) < 0.02  # halfway between two pixels either is right


@few
@given(size=sizes, seed=st.integers(0, 1000))
def test_an_elastic_map_is_that_of_scipy(size, seed):
    axes = len(size)
    moves = np.random.default_rng(seed).normal(0, 1.5, (axes, *(4,) * axes))
    found = moves
    for axis, length in enumerate(size, start=1):
        nodes = np.linspace(0, length - 1, 4) if length > 1 else np.linspace(-0.5, 0.5, 4)
        found = CubicSpline(nodes, found, axis=axis, bc_type="natural")(np.arange(length))
    image = smooth(size)
    places = places_of(size, np.ones(axes), np.eye(axes), moves)
    expected = ndimage.map_coordinates(image[..., 0], np.indices(size) + found, order=1, mode="mirror")
    np.testing.assert_allclose(interpolated(image, places)[..., 0], expected, atol=2e-3)
    assert all(0 <= place.min() <= place.max() <= length - 1 for place, length in zip(places, size, strict=True))


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_rotation_and_scaling_are_those_of_monai(plane):
    size, angle, factor = (17, 21, 25), 20.0, 1.2
    angles, radians = np.zeros(3), np.zeros(3)
    angles[plane] = angle
    radians[2 - plane] = math.radians(angle if plane != 1 else -angle)  # MONAI turns about axes, we in planes of axes
    image = smooth(size)
    places = places_of(size, np.ones(3), rotation(angles, np.ones(3)) / factor, np.zeros((3, 2, 2, 2)))
    theirs = Affine(
        rotate_params=tuple(radians), scale_params=(1 / factor,) * 3, padding_mode="reflection", image_only=True
    )
    expected = np.asarray(theirs(np.moveaxis(image, -1, 0)))[0]
    inside = (slice(4, -4),) * 3  # MONAI mirrors at the outer edges of the pixels
    np.testing.assert_allclose(interpolated(image, places)[(*inside, 0)], expected[inside], atol=2e-3)


def test_lengths_and_angles_are_physical():
    """A rotation keeps all distances in mm, whatever the spacing; growth by 2 halves them in the finest plane."""
    size, spacing = (8, 20, 20), np.array([3.0, 1.0, 1.0])
    still = np.zeros((3, 2, 2, 2))
    corner = np.array([[3, 9, 9], [4, 9, 9], [4, 12, 9], [3, 9, 13]])
    matrix = rotation([15, -15, 15], spacing)
    for factor in (1, 0.5):
        places = places_of(size, spacing, matrix * factor, still)[:, *corner.T].T * spacing
        before = corner * spacing
        for one in range(4):
            np.testing.assert_allclose(
                np.linalg.norm(places - places[one], axis=1),
                np.linalg.norm(before - before[one], axis=1) * factor,
                atol=1e-4,
            )


def test_thick_slices_are_hardly_turned_or_scaled_out_of_their_plane():
    spacing = (5.0, 0.6, 0.6)
    ramp = np.broadcast_to(np.linspace(0, 1, 12, dtype=np.float32)[:, None, None], (12, 40, 40))
    labels = np.broadcast_to(np.arange(12, dtype=np.uint8)[:, None, None], (12, 40, 40))
    transform = AffineElastic(scale=(1.25, 1.25), p_rotation=1, p_scaling=1, p_elastic=0)
    slices = [drawn(transform, ramp[None], labels, seed, spacing)[0][0] * 11 for seed in range(8)]
    shift = np.abs(np.array(slices) - np.arange(12)[:, None, None])
    # At the corners 1.8 degrees twice of 20 x 0.6 mm, and 5.5 slices by 2.7 %.
    assert 0.02 < shift.max() < 2 * 20 * 0.6 * math.sin(math.radians(1.8)) / 5 + 5.5 * (1.25**0.12 - 1)
    loose = [drawn(transform, ramp[None], labels, seed)[0][0] * 11 for seed in range(8)]
    assert np.abs(np.array(loose) - np.arange(12)[:, None, None]).max() > 3
    # In the plane the angle is whole.
    matrix = rotation([0, 0, 15], spacing)
    assert math.degrees(math.asin(matrix[2, 1])) == pytest.approx(15)


def test_what_is_scaled_grows_and_what_is_turned_keeps_its_size():
    grid = np.indices((40, 40, 40)) - 19.5
    ball = (np.linalg.norm(grid, axis=0) < 10).astype(np.uint8)
    for settings_, factor in (({"p_scaling": 1, "scale": (1.2, 1.2)}, 1.2), ({"p_rotation": 1, "degrees": 40}, 1.0)):
        _, moved = drawn(AffineElastic(**(NONE | settings_)), ball[None].astype(np.float32), ball)
        assert moved.sum() == pytest.approx(ball.sum() * factor**3, rel=0.03)


@few
@given(size=sizes, seed=st.integers(0, 1000), channels=st.sampled_from([1, 3, 7]))
def test_labels_of_any_size_and_all_channels_move_alike(size, seed, channels):
    labels = (smooth(size)[..., 0] * 9).astype(np.int32) * 20_011
    image = np.repeat((labels / labels.max()).astype(np.float32)[None], channels, axis=0)
    transform = AffineElastic(degrees=30, sigma=1, p_rotation=1, p_scaling=1, p_elastic=1)
    moved, moved_labels = drawn(transform, image, labels, seed)
    assert (moved_labels.dtype, moved.dtype) == (np.int32, np.float32)
    assert set(np.unique(moved_labels)) <= set(np.unique(labels))
    for channel in moved[1:]:
        np.testing.assert_array_equal(channel, moved[0])
    assert image.min() - 1e-6 <= moved.min() <= moved.max() <= image.max() + 1e-6


def test_patches_with_more_rows_than_cv2_takes_are_interpolated_alike(monkeypatch):
    size = (9, 14, 17)
    image = smooth(size, channels=2)
    moves = np.random.default_rng(1).normal(0, 1, (3, 3, 3, 3))
    places = places_of(size, np.ones(3), rotation([10, 20, -15], np.ones(3)), moves)
    by_cv2 = interpolated(image, places)
    monkeypatch.setattr(spatial, "CV2_SIDE", 1)
    np.testing.assert_allclose(interpolated(image, places), by_cv2, atol=2e-3)


def test_each_part_has_its_probability_and_none_leaves_the_patch_as_it_is():
    image = smooth((12, 12, 12))[..., 0][None]
    labels = (image[0] > 0.5).astype(np.uint8)
    moved, moved_labels = drawn(AffineElastic(**NONE), image, labels)
    np.testing.assert_array_equal(moved, image)
    np.testing.assert_array_equal(moved_labels, labels)
    for part in NONE:
        transform = AffineElastic(**(NONE | {part: 0.3}))
        changed = [not np.array_equal(drawn(transform, image, labels, seed)[0], image) for seed in range(200)]
        assert np.mean(changed) == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"degrees": -1}, "degrees of AffineElastic=-1 must be a"),
        ({"scale": (0, 1)}, r"scale of AffineElastic=\[0, 1\] must be a range \[least, most\] of factors above 0"),
        ({"scale": (1.2, 0.8)}, "must be a range"),
        ({"sigma": -2}, "sigma of AffineElastic=-2"),
        ({"grid": 1}, "grid of AffineElastic=1 must be an integer of at least 2"),
        ({"p_elastic": 1.5}, "p_elastic of AffineElastic=1.5 must be a number of at least 0 and at most 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        AffineElastic(**arguments)
