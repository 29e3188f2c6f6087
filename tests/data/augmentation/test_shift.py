import numpy as np
import pytest
from scipy import ndimage, stats

from segexp.data import Augment, HistogramShift, RandomTexture


def drawn(transform, image: np.ndarray, seed: int = 0) -> np.ndarray:
    mask = np.zeros(image.shape[1:], np.uint8)
    return Augment([transform])(image, mask, None, np.random.default_rng(seed))[0]


def smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), (0, *[2] * (len(shape) - 1)))
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 40, 48), (3, 40, 48), (1, 12, 20, 24)])
def test_a_shifted_histogram_keeps_the_order_of_intensities(shape):
    image = smooth(shape)
    for seed in range(5):
        moved = drawn(HistogramShift(std=1.0), image, seed)
        assert stats.spearmanr(image.ravel(), moved.ravel()).statistic > 0.999
        assert np.abs(moved - image).max() > 0.03
    turned = drawn(HistogramShift(std=0.3, invert=1.0), image)
    assert stats.spearmanr(image.ravel(), turned.ravel()).statistic < -0.999


def test_the_curve_is_straight_between_its_knots_and_keeps_the_ends():
    image = np.linspace(0, 1, 41, dtype=np.float32).reshape(1, 1, 41)
    moved = drawn(HistogramShift(knots=11, std=1.0), image)[0, 0]
    rises = np.diff(moved).reshape(10, 4)
    assert (moved[0], moved[-1]) == pytest.approx((0, 1))
    assert (rises > 0).all()
    np.testing.assert_allclose(rises, rises.mean(1, keepdims=True).repeat(4, 1), rtol=1e-2)
    logs = np.log([np.diff(drawn(HistogramShift(41, 0.5), image, seed)[0, 0]) for seed in range(200)])
    assert logs.std() == pytest.approx(0.5, rel=0.05)
    np.testing.assert_allclose(drawn(HistogramShift(std=0.0), image), image, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 40, 48), (3, 40, 48), (1, 12, 20, 24)])
def test_another_texture_keeps_mean_deviation_and_place(shape):
    image = 0.3 + 0.4 * smooth(shape)
    seen = [drawn(RandomTexture(mix=(0.7, 0.7)), image, seed) for seed in range(6)]
    axes = tuple(range(1, image.ndim))
    for moved in seen:
        np.testing.assert_allclose(moved.mean(axes), image.mean(axes), atol=0.02)
        np.testing.assert_allclose(moved.std(axes), image.std(axes), rtol=0.2)
        assert np.abs(moved - image).max() > 0.02
    assert np.abs(seen[0] - seen[1]).max() > 0.02
    np.testing.assert_allclose(drawn(RandomTexture(mix=(0.0, 0.0)), image), image, atol=1e-5)


def test_a_texture_reaches_no_farther_than_its_layers():
    image = np.full((1, 41, 41), 0.5, np.float32)
    image[0, ::7, ::7] = 0.6
    other = image.copy()
    other[0, 20, 20] = 0.4
    change = np.abs(drawn(RandomTexture(mix=(1, 1)), image) - drawn(RandomTexture(mix=(1, 1)), other))[0]
    far = np.ones((41, 41), bool)
    far[16:25, 16:25] = False
    assert change[far].max() < 0.2 * change.max()  # beyond four layers the mean and the deviation alone change


def test_the_same_patch_is_drawn_from_the_same_numbers():
    image = smooth((1, 16, 20, 24))
    for transform in (HistogramShift(), RandomTexture()):
        np.testing.assert_array_equal(drawn(transform, image, 3), drawn(transform, image, 3))


def test_an_even_image_stays():
    image = np.full((1, 16, 16), 0.5, np.float32)
    np.testing.assert_array_equal(drawn(RandomTexture(), image), image)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: HistogramShift(knots=2), "knots of HistogramShift"),
        (lambda: HistogramShift(std=-1), "std of HistogramShift"),
        (lambda: RandomTexture(layers=0), "layers of RandomTexture"),
        (lambda: RandomTexture(mix=(0.5, 1.5)), "must not exceed 1"),
        (lambda: RandomTexture(mix=(0.5, 0.1)), "must be a range"),
    ],
)
def test_impossible_arguments_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
