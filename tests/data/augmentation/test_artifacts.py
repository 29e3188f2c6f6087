import random

import cv2
import numpy as np
import pytest
import torch
import torchio
from scipy import ndimage, stats

from segexp.data.augmentation import artifacts
from segexp.data.augmentation.appearance import TorchIO
from segexp.data.augmentation.artifacts import BiasField, Ghosting, Motion, Spikes
from segexp.data.augmentation.augment import Augment

SHAPES = pytest.mark.parametrize("shape", [(1, 40, 48), (3, 41, 48), (2, 6, 21, 24), (1, 1, 16, 18)])


def drawn(transform, image: np.ndarray, seed: int = 0) -> np.ndarray:
    mask = np.zeros(image.shape[1:], np.uint8)
    return Augment([transform])(image, mask, None, np.random.default_rng(seed))[0]


def smooth(shape: tuple[int, ...]) -> np.ndarray:
    """An image (C, *S) whose artifacts stay within [0, 1]."""
    noise = np.random.default_rng(0).random(shape)
    return (0.4 + 0.2 * ndimage.gaussian_filter(noise, (0, *[1] * (len(shape) - 1)))).astype(np.float32)


def of_torchio(transform, image: np.ndarray) -> np.ndarray:
    """Apply a transform of TorchIO, whose axes are x, y, z, to (C, *S)."""
    volume = image if image.ndim == 4 else image[:, None]
    moved = transform(torch.from_numpy(np.ascontiguousarray(volume.transpose(0, 3, 2, 1))))
    return np.clip(moved.numpy().transpose(0, 3, 2, 1), 0, 1).reshape(image.shape)


def draws_of(transform, image: np.ndarray, count: int = 300) -> list[dict]:
    transform.set_random_state(np.random.default_rng(0), random.Random(0))
    key = "images" if image.ndim == 4 else "image"
    data = {key: np.moveaxis(image, 0, -1)}
    return [transform.get_params() | transform.get_params_dependent_on_data({}, data) for _ in range(count)]


@SHAPES
@pytest.mark.parametrize("axis", ["y", "x"])
def test_ghosts_are_those_of_torchio(shape, axis):
    image = smooth(shape)
    for count in (2, 5):
        settings = {"num_ghosts": [count, count], "axes": ["xy".index(axis)], "intensity": [0.7, 0.7]}
        ours = Ghosting(num_ghosts=(count, count), axes=[axis], intensity=(0.7, 0.7))
        seen = drawn(ours, image)
        assert np.abs(seen - image).max() > 1e-3
        np.testing.assert_allclose(seen, drawn(TorchIO("RandomGhosting", settings), image), atol=1e-5)


def test_ghosts_are_drawn_from_their_ranges_and_lie_across_slices_in_volumes_alone():
    ghosting = Ghosting(axes=["z", "y", "x"])
    found = draws_of(ghosting, smooth((1, 4, 8, 8)))
    assert {each["count"] for each in found} == {2, 3, 4, 5, 6}
    assert {each["axis"] for each in found} == {-4, -3, -2}
    intensities = [each["intensity"] for each in found]
    assert stats.kstest(intensities, stats.uniform(0.3, 0.5).cdf).pvalue > 0.01
    assert {each["axis"] for each in draws_of(ghosting, smooth((1, 8, 8)))} == {-3, -2}
    with pytest.raises(ValueError, match=r"axes of Ghosting=\['z'\] leave none for this patch: name y or x"):
        drawn(Ghosting(axes=["z"]), smooth((1, 8, 8)))


@SHAPES
def test_spikes_are_those_of_torchio(shape):
    image = smooth(shape)
    places = np.array([[0.3, 0.7, 0.52], [0.9, 0.1, 0.4]])  # z, y, x
    theirs = torchio.Spike(spikes_positions=places[:, ::-1], intensity=0.2)
    seen = np.moveaxis(Spikes().apply(np.moveaxis(image, 0, -1), places=places, intensity=0.2), -1, 0)
    assert np.abs(seen - image).max() > 0.05
    np.testing.assert_allclose(seen, of_torchio(theirs, image), atol=1e-5)


def test_spikes_are_drawn_from_their_ranges():
    found = draws_of(Spikes(num_spikes=(0, 2)), smooth((1, 8, 8)))
    assert {len(each["places"]) for each in found} == {0, 1, 2}
    places = np.concatenate([each["places"] for each in found])
    assert stats.kstest(places.ravel(), "uniform").pvalue > 0.01
    assert stats.kstest([each["intensity"] for each in found], stats.uniform(0.05, 0.2).cdf).pvalue > 0.01


@SHAPES
@pytest.mark.parametrize("order", [0, 1, 3])
def test_a_bias_field_is_that_of_torchio(shape, order):
    image = smooth(shape)
    coefficients = draws_of(BiasField(coefficients=0.2, order=order), image, 1)[0]["drawn"]  # by exponents of z, y, x
    exponents = [e for e in np.ndindex(coefficients.shape) if sum(e) <= order]  # in TorchIO's order, of x, y, z
    theirs = torchio.BiasField(coefficients=[float(coefficients[e[::-1]]) for e in exponents], order=order)
    seen = np.moveaxis(BiasField(order=order).apply(np.moveaxis(image, 0, -1), drawn=coefficients), -1, 0)
    assert np.abs(seen - image).max() > 1e-3
    np.testing.assert_allclose(seen, of_torchio(theirs, image), atol=1e-5)


def test_coefficients_of_a_bias_field_are_drawn_from_their_range():
    found = np.array([each["drawn"] for each in draws_of(BiasField(coefficients=0.3), smooth((1, 8, 8)), 100)])
    high = np.indices((4, 4, 4)).sum(0) > 3
    assert (found[:, high] == 0).all()
    assert stats.kstest(found[:, ~high].ravel(), stats.uniform(-0.3, 0.6).cdf).pvalue > 0.01


def test_motion_keeps_low_frequencies_and_without_moves_the_image():
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random((1, 64, 64)), (0, 1, 1)).astype(np.float32)
    np.testing.assert_allclose(drawn(Motion(degrees=0, shift=0), image), image, atol=1e-5)
    moved = drawn(Motion(degrees=10, shift=5), image)
    change = np.abs(np.fft.fft(moved[0], axis=0) - np.fft.fft(image[0], axis=0)).mean(axis=1)
    low = np.abs(np.fft.fftfreq(64)) < 0.04
    assert change[low].max() < 0.15 * change.max()


@SHAPES
def test_motion_is_that_of_whole_transforms_of_each_slice(shape, monkeypatch):
    """The plain way: complex transforms of whole slices, and rows chosen by their frequencies."""
    monkeypatch.setattr(artifacts, "BLOCK", 1000)
    image = smooth(shape)
    frequency = np.fft.fftfreq(shape[-2])
    middle = (shape[-1] - 1) / 2, (shape[-2] - 1) / 2
    for seed, found in enumerate(draws_of(Motion(moves=3), image, 6)):
        expected = []
        for plane in image.reshape(-1, *shape[-2:]):
            spectrum = np.fft.fft(plane, axis=0)
            for degrees, right, down, start, side in found["drawn"]:
                matrix = cv2.getRotationMatrix2D(middle, degrees, 1) + np.array([[0, 0, right], [0, 0, down]])
                other = cv2.warpAffine(plane, matrix, plane.shape[::-1], borderMode=cv2.BORDER_REFLECT_101)
                rows = (frequency if side else -frequency) >= start
                spectrum[rows] = np.fft.fft(other, axis=0)[rows]
            expected.append(np.clip(np.abs(np.fft.ifft(spectrum, axis=0)), 0, 1))
        seen = np.moveaxis(Motion().apply(np.moveaxis(image, 0, -1), **found), -1, 0)
        np.testing.assert_allclose(seen, np.reshape(expected, shape), atol=1e-5, err_msg=f"draw {seed}")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Motion(moves=0), "moves of Motion=0 must be an integer of at least 1"),
        (lambda: Ghosting(num_ghosts=(0, 3)), "num_ghosts of Ghosting=0 must be an integer of at least 1"),
        (lambda: Ghosting(num_ghosts=(4, 3)), r"num_ghosts of Ghosting=\[4, 3\] must be a range"),
        (lambda: Ghosting(axes=["w"]), "an axis of Ghosting='w' is not one of"),
        (lambda: Ghosting(intensity=(-1, 1)), "intensity of Ghosting=.* from 0 upwards"),
        (lambda: Spikes(num_spikes=(1.5, 2)), "num_spikes of Spikes=1.5 must be an integer"),
        (lambda: Spikes(intensity=(1, 0)), "intensity of Spikes=.* must be a range"),
        (lambda: BiasField(coefficients=-0.1), "coefficients of BiasField=-0.1"),
        (lambda: BiasField(order=-1), "order of BiasField=-1 must be an integer of at least 0"),
    ],
)
def test_arguments_are_checked(make, words):
    with pytest.raises(ValueError, match=words):
        make()
