from dataclasses import replace

import numpy as np
import pytest
import torch
import torchio
from scipy.stats import rice

from segexp.stress import appearance
from segexp.stress.scan import Scan
from tests.stress.examples import photograph, slice_case, volume


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def flat(value: float) -> Scan:
    scan = Scan.of(slice_case())
    return replace(scan, image=np.full((1, 200, 200), value, np.float32))


def test_gaussian_noise_has_its_standard_deviation():
    noisy = appearance.gaussian_noise(flat(0.5), 0.1, rng())
    assert noisy.mean() == pytest.approx(0.5, abs=2e-3)
    assert noisy.std() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("value", [0.0, 0.05, 0.6])
def test_rician_noise_is_distributed_as_scipy_has_it(value):
    noisy = appearance.rician_noise(flat(value), 0.1, rng())
    assert noisy.mean() == pytest.approx(rice.mean(value / 0.1, scale=0.1), rel=0.01)
    assert noisy.std() == pytest.approx(rice.std(value / 0.1, scale=0.1), rel=0.02)


def test_a_bias_field_is_that_of_torchio():
    size, coefficients = (12, 32, 36), np.random.default_rng(0).uniform(-1, 1, (4, 4, 4))
    orders = [(a, b, c) for a in range(4) for b in range(4 - a) for c in range(4 - a - b)]
    theirs = [0.0 if sum(each) == 0 else float(coefficients[each]) for each in orders]
    ones = torch.ones(1, *size)
    expected = np.log(torchio.transforms.BiasField.generate_bias_field(ones, 3, theirs))
    # TorchIO's outermost pixels are at 1 and -1, ours half a pixel inside.
    places = [np.abs((np.arange(n) + 0.5) / n * 2 - 1).max() for n in size]
    scaled = coefficients * np.prod(
        [place**-exponents for place, exponents in zip(places, np.indices((4, 4, 4)).astype(float), strict=True)],
        axis=0,
    )
    assert appearance.polynomial(size, scaled)[0] == pytest.approx(expected, abs=1e-3)


def test_the_largest_exponent_of_a_bias_field_is_its_strength():
    scan = Scan.of(volume())
    ratio = appearance.bias_field(scan, 0.4, rng())[np.abs(scan.image) > 0.1] / scan.image[np.abs(scan.image) > 0.1]
    assert np.abs(np.log(ratio)).max() == pytest.approx(0.4, rel=0.1)


def test_gamma_keeps_the_ends_of_the_window_and_contrast_the_mean():
    scan = flat(1.0)
    assert appearance.gamma(scan, 0.7, rng()) == pytest.approx(scan.image)
    scan = Scan.of(slice_case())
    flatter = appearance.contrast(scan, 0.5, rng())
    assert flatter.mean() == pytest.approx(scan.image.mean(), abs=1e-5)
    assert flatter.std() / scan.image.std() == pytest.approx(np.exp(-0.5), rel=1e-4)


def test_brightness_adds_or_takes_away():
    scan = Scan.of(slice_case())
    shifts = {
        float(np.median(appearance.brightness(scan, 0.2, np.random.default_rng(seed)) - scan.image))
        for seed in range(8)
    }
    assert sorted(round(shift, 4) for shift in shifts) == pytest.approx(sorted({round(s, 4) for s in shifts}))
    assert {round(shift, 2) for shift in shifts} == {-0.2, 0.2}


def test_a_shifted_histogram_keeps_the_order_of_intensities():
    scan = Scan.of(slice_case())
    order = np.argsort(scan.image.ravel())
    shifted = appearance.histogram_shift(scan, 0.3, rng()).ravel()[order]
    assert (np.diff(shifted) >= -1e-5).all()
    assert np.abs(shifted - scan.image.ravel()[order]).max() <= 0.3 + 1e-5


def test_a_color_cast_moves_colors_against_each_other_and_not_all_at_once():
    scan = replace(Scan.of(photograph()), image=np.full((3, 8, 8), 0.5, np.float32))
    logs = np.log(appearance.color_cast(scan, 0.5, rng())[:, 0, 0] / 0.5)
    assert logs.sum() == pytest.approx(0, abs=1e-5)
    assert np.abs(logs).max() == pytest.approx(0.5, rel=1e-4)


def test_a_vignette_darkens_the_corners_and_not_the_center():
    scan = replace(Scan.of(photograph()), image=np.ones((3, 41, 41), np.float32))
    dark = appearance.vignette(scan, 1.0, rng())
    assert dark[0, 20, 20] == pytest.approx(1)
    assert dark[0, 0, 0] < 0.15
    assert dark[0, 0, 0] == pytest.approx(dark[0, 40, 40])


@pytest.mark.parametrize(
    "change",
    [
        "gaussian_noise",
        "rician_noise",
        "bias_field",
        "gamma",
        "contrast",
        "brightness",
        "histogram_shift",
        "color_cast",
        "vignette",
    ],
)
def test_a_strength_of_0_changes_nothing(change):
    scan = Scan.of(photograph())
    assert getattr(appearance, change)(scan, 0.0, rng()) == pytest.approx(scan.image, abs=1e-5)
