import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from segexp.stress.corruptions import CORRUPTIONS, MEASURES, PSNR, SEVERITIES, Corruption, corrupted
from segexp.stress.scan import Scan
from tests.stress.examples import KINDS, case_of, photograph, volume

FITTING = [(name, kind) for name, each in CORRUPTIONS.items() for kind, make in KINDS.items() if each.fits(make())]
OF_ALL = [pair for pair in FITTING if pair[1] != "slice"]


@pytest.mark.parametrize(("name", "kind"), OF_ALL)
def test_a_copy_is_a_function_of_seed_case_corruption_and_severity_alone(name, kind):
    case = KINDS[kind]()
    before = case.image.copy()
    all_five = corrupted(case, name, SEVERITIES, 0)
    (third,) = corrupted(KINDS[kind](), name, [3], 0)
    assert (third.case.image == all_five[2].case.image).all()
    assert (third.case.target == all_five[2].case.target).all()
    assert (third.strength, third.reached) == (all_five[2].strength, all_five[2].reached)
    assert (case.image == before).all()
    assert third.case.image.dtype == case.image.dtype


@pytest.mark.parametrize(("name", "kind"), [pair for pair in FITTING if isinstance(CORRUPTIONS[pair[0]], Corruption)])
def test_what_is_reached_is_measured_on_the_copy_and_falls_with_the_severity(name, kind):
    case = KINDS[kind]()
    copies = corrupted(case, name, SEVERITIES, 0)
    scan = Scan.of(case)
    compare, targets, tolerance = MEASURES[CORRUPTIONS[name].measure]
    for copy, target in zip(copies, targets, strict=True):
        assert copy.reached == pytest.approx(compare(scan, scan.seen(copy.case.image)), abs=1e-5)
        near = abs(copy.reached - target) <= 5 * tolerance
        assert (
            near
            or copy.strength == CORRUPTIONS[name].highest
            or name in ("jpeg", "thick_slices", "low_resolution", "defocus")
        )
    strengths = [copy.strength for copy in copies]
    assert strengths == sorted(strengths)
    assert (copies[0].case.target == case.target).all()


def test_noise_of_a_severity_has_the_psnr_that_scikit_image_measures():
    case = photograph()
    for copy, target in zip(corrupted(case, "gaussian_noise", SEVERITIES, 0), PSNR, strict=True):
        assert peak_signal_noise_ratio(case.image, copy.case.image) == pytest.approx(target, abs=0.1)


def test_seeds_cases_and_corruptions_have_random_numbers_of_their_own():
    noise = [
        corrupted(case_of(20, 20), "gaussian_noise", [5], 0),
        corrupted(case_of(20, 20), "gaussian_noise", [5], 1),
        corrupted(case_of(20, 20), "rician_noise", [5], 0),
    ]
    images = [each[0].case.image for each in noise]
    assert not np.allclose(images[0], images[1])
    assert not np.allclose(images[0], images[2])


def test_severities_of_a_case_differ_in_strength_and_not_in_pattern():
    case = case_of(32, 32)
    weak, strong = (each.case.image - case.image for each in corrupted(case, "gaussian_noise", [1, 5], 0))
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] == pytest.approx(1, abs=1e-3)


def test_thick_slices_are_of_volumes_and_a_color_cast_of_photographs():
    assert CORRUPTIONS["thick_slices"].fits(volume())
    assert not CORRUPTIONS["thick_slices"].fits(photograph())
    assert CORRUPTIONS["color_cast"].fits(photograph())
    assert not CORRUPTIONS["color_cast"].fits(case_of(8, 8))


def test_a_corruption_or_severity_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="did you mean 'motion'"):
        corrupted(volume(), "moton", [1], 0)
    with pytest.raises(ValueError, match="severity=6"):
        corrupted(volume(), "motion", [6], 0)
