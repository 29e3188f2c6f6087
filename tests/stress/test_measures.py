import math
from dataclasses import replace

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from segexp.stress.measures import psnr, ssim
from segexp.stress.scan import Scan
from tests.stress.examples import KINDS


@pytest.fixture(params=KINDS)
def pair(request) -> tuple[Scan, np.ndarray]:
    scan = Scan.of(KINDS[request.param]())
    noise = np.random.default_rng(1).normal(0, 0.1, scan.image.shape).astype(np.float32)
    return scan, scan.image + noise


def test_psnr_is_that_of_scikit_image(pair):
    scan, noisy = pair
    assert psnr(scan, noisy) == pytest.approx(peak_signal_noise_ratio(scan.image, noisy, data_range=1), abs=1e-4)
    assert psnr(scan, scan.image) == math.inf


def test_ssim_is_that_of_scikit_image(pair):
    scan, noisy = pair
    maps = [
        structural_similarity(one, other, win_size=7, data_range=1, full=True)[1]
        for one, other in zip(scan.image, noisy, strict=True)
    ]
    assert ssim(scan, noisy) == pytest.approx(np.mean(maps), abs=1e-5)
    assert ssim(scan, scan.image) == pytest.approx(1)


def test_pixels_outside_the_field_of_view_do_not_count():
    scan = Scan.of(KINDS["slice"]())
    valid = np.zeros(scan.image.shape[1:], bool)
    valid[:20] = True
    scan = replace(scan, valid=valid)
    changed = scan.image.copy()
    changed[:, 30:] += 1
    assert psnr(scan, changed) == math.inf
    assert ssim(scan, changed) == pytest.approx(1)


def test_an_axis_of_one_pixel_has_an_ssim():
    scan = Scan.of(KINDS["volume"]())
    thin = replace(scan, image=scan.image[:, :1])
    assert 0 < ssim(thin, thin.image + np.float32(0.1)) < 1
