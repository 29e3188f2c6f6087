import numpy as np
import pytest
import torch
import torchio
from scipy.ndimage import gaussian_filter

from segexp.stress import acquisition
from segexp.stress.scan import Scan
from tests.stress.examples import KINDS, photograph, slice_case, volume


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def of_torchio(transform, image: np.ndarray) -> np.ndarray:
    return transform(torchio.ScalarImage(tensor=torch.from_numpy(image))).data.numpy()


@pytest.mark.parametrize("axis", [1, 2])
def test_ghosts_are_those_of_torchio(axis):
    image = Scan.of(volume()).image
    theirs = torchio.Ghosting(num_ghosts=5, axis=axis, intensity=0.8, restore=None)
    assert acquisition.ghosted(image, 0.8, axis, 5) == pytest.approx(of_torchio(theirs, image), abs=1e-4)


def test_spikes_are_those_of_torchio():
    image = np.abs(Scan.of(volume()).image)
    theirs = torchio.Spike(spikes_positions=np.array([[0.6, 0.3, 0.7]]), intensity=0.5)
    frequency = np.floor(np.array([0.6, 0.3, 0.7]) * image.shape[1:]).astype(int) - np.array(image.shape[1:]) // 2
    ours = image + 0.5 * image.mean() * acquisition.stripe(image.shape[1:], frequency)
    assert ours == pytest.approx(of_torchio(theirs, image), abs=1e-4)


def test_motion_without_movement_changes_nothing_and_its_center_keeps_the_mean():
    scan = Scan.of(volume())
    assert acquisition.motion(scan, 0.0, rng()) == pytest.approx(scan.image, abs=1e-4)
    moved = acquisition.motion(scan, 1.0, rng())
    assert moved.mean() == pytest.approx(scan.image.mean(), abs=1e-4)
    assert np.abs(moved - scan.image).mean() > 0.01


def test_a_blur_is_as_wide_in_mm_along_all_axes():
    scan = Scan.of(volume())
    expected = gaussian_filter(scan.image[0], [0.5, 1.5, 1.5], mode="nearest", truncate=3.0)
    assert acquisition.blur(scan, 1.5, rng())[0] == pytest.approx(expected, abs=1e-5)


def test_low_resolution_is_lost_in_the_plane_and_thick_slices_across_it():
    scan = Scan.of(volume())

    def roughness(image: np.ndarray) -> list[float]:
        return [float(np.abs(np.diff(image, axis=axis)).mean()) for axis in (1, 2, 3)]

    before, flat, thick = (
        roughness(image)
        for image in (
            scan.image,
            acquisition.low_resolution(scan, 3.0, rng()),
            acquisition.thick_slices(scan, 3.0, rng()),
        )
    )
    assert flat[1] < 0.6 * before[1]
    assert flat[2] < 0.6 * before[2]
    assert thick[0] < 0.6 * before[0]
    assert thick[0] / before[0] < 0.8 * thick[1] / before[1]


def test_a_ramp_keeps_its_slope_at_a_lower_resolution():
    ramp = np.tile(np.arange(30, dtype=np.float32), (1, 8, 1))
    coarse = acquisition.coarser(ramp, 1, 3.0)
    assert coarse[0, 4, 8:22] == pytest.approx(ramp[0, 4, 8:22], abs=0.05)


def test_a_point_out_of_focus_is_a_disk():
    scan = Scan.of(photograph())
    scan.image[:] = 0
    scan.image[:, 20, 20] = 1
    disk = acquisition.defocus(scan, 4.0, rng())[0]
    inside = np.hypot(*np.mgrid[-20:20, -20:28]) < 3.4
    assert disk.sum() == pytest.approx(1, abs=1e-5)
    assert disk[inside] == pytest.approx(1 / (np.pi * 16), rel=0.1)
    assert disk[20, 26] == pytest.approx(0, abs=1e-6)


def test_jpeg_stays_in_8_bits_and_loses_more_at_a_lower_quality():
    scan = Scan.of(photograph())
    errors = [
        np.abs(scan.stored(acquisition.jpeg(scan, strength, rng())).astype(int) - scan.stored(scan.image)).mean()
        for strength in (5.0, 60.0, 95.0)
    ]
    assert errors == sorted(errors)
    assert errors[0] < 0.5 * errors[2]


@pytest.mark.parametrize("change", ["ghosting", "motion", "spikes", "blur", "low_resolution", "thick_slices"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_strength_of_0_changes_nothing(change, kind):
    scan = Scan.of(KINDS[kind]())
    assert getattr(acquisition, change)(scan, 0.0, rng()) == pytest.approx(scan.image, abs=1e-4)


def test_a_full_turn_in_oblong_pixels_is_none():
    matrix = acquisition.rotation_matrix(np.pi / 2, Scan.of(slice_case()))
    assert matrix == pytest.approx(np.array([[0, -1], [1, 0]]), abs=1e-9)
