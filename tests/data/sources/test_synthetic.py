"""Drawn tissue: repeatable, closed cells, and neither trivial nor hopeless."""

import numpy as np
import pytest
from skimage.feature import multiscale_basic_features
from skimage.filters import threshold_otsu
from skimage.measure import label

from segexp.data.sources import Synthetic
from segexp.data.sources.synthetic import draw_cells
from tests.data.sources import names


def read_all(**options):
    source = Synthetic(**options)
    source.prepare()
    return [source.read(name) for name in names(source)]


def dice(pred, truth):
    return 2 * (pred & truth).sum() / (pred.sum() + truth.sum())


@pytest.fixture(scope="module")
def plain():
    return read_all(count=12)


@pytest.mark.parametrize("size", [(128, 128), (48, 80), (16, 16), (17, 33, 40)])
def test_shapes_types_and_classes(size):
    for case in read_all(size=size, channels=3, num_classes=4, count=3):
        assert case.image.shape == (3, *size)
        assert case.target.shape == size
        assert case.image.dtype == case.target.dtype == np.uint8
        assert case.target.max() < 4
        assert case.spacing == (1.0,) * len(size)


def test_a_case_depends_on_seed_and_number_alone():
    few, many = Synthetic(count=3, seed=5), Synthetic(count=300, seed=5)
    assert names(few) == names(many)[:3]
    many.read(names(many)[7])
    for name in reversed(names(few)):
        one, other = few.read(name), many.read(name)
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.target, other.target)


def test_no_two_cases_and_no_two_seeds_are_equal():
    cases = read_all(count=5, seed=0) + read_all(count=5, seed=1)
    assert len({case.image.tobytes() for case in cases}) == 10
    assert len({case.target.tobytes() for case in cases}) == 10


def test_channels_show_the_same_tissue_with_less_contrast_and_noise_of_their_own():
    cases = read_all(channels=3, count=6)
    truth = np.stack([case.target == 1 for case in cases])
    pixels = [np.stack([case.image[channel] for case in cases]) for channel in range(3)]
    contrast = np.array([part[~truth].mean() - part[truth].mean() for part in pixels])
    np.testing.assert_allclose(contrast / contrast[0], [1, 0.8, 0.64], atol=0.06)
    assert np.corrcoef(pixels[0].ravel(), pixels[1].ravel())[0, 1] < 0.95


@pytest.mark.parametrize("size", [(128, 128), (512, 256), (64, 64, 64), (24, 96, 96)])
def test_share_of_membrane(size):
    share = [(case.target == 1).mean() for case in read_all(size=size, count=16 if size == (128, 128) else 3)]
    assert min(share) > 0.12
    assert max(share) < 0.35


@pytest.mark.parametrize(("size", "num_classes"), [((128, 128), 2), ((128, 128), 6), ((32, 48, 40), 3)])
def test_membranes_separate_the_cells(size, num_classes):
    """Pieces of what is not membrane, by scikit-image, are the drawn cells one to one."""
    for index, case in enumerate(read_all(size=size, num_classes=num_classes, count=3, seed=3)):
        cells = draw_cells(np.random.default_rng([3, index]), size)
        pieces = label(case.target != 1, connectivity=1)
        pairs = np.unique(np.stack([cells.ravel(), pieces.ravel()]), axis=1)
        assert pairs.shape[1] == cells.max() + 1 == pieces.max() + 1
        assert ((pairs[0] == 0) == (pairs[1] == 0)).all()


def test_cells_are_many_and_none_fills_the_picture(plain):
    for case in plain:
        area = np.bincount(label(case.target != 1, connectivity=1).ravel())[1:]
        assert 12 <= len(area) <= 60
        assert area.min() >= 12
        assert area.max() < 0.25 * case.target.size


def test_organelles_lie_inside_cells_and_all_classes_occur():
    for case in read_all(num_classes=6, count=6):
        assert set(np.unique(case.target)) == set(range(6))
        organelle = case.target >= 2
        for axis in (0, 1):
            for step in (-1, 1):
                beside = np.roll(case.target, step, axis)[1:-1, 1:-1]
                assert not (organelle[1:-1, 1:-1] & (beside == 1)).any(), "cytoplasm lies between"


def test_classes_differ_in_brightness_or_texture():
    cases = read_all(num_classes=6, count=12)
    pixels = [np.concatenate([case.image[0][case.target == index] for case in cases]) for index in range(6)]
    mean, spread = [part.mean() for part in pixels], [part.std() for part in pixels]
    assert mean[5] < mean[2] < mean[0] - 15 < mean[0] + 15 < mean[3]
    assert spread[4] > spread[0] + 10, "granular bodies have the mean of the cytoplasm, not its smoothness"


def test_two_classes_hide_the_mitochondria():
    two, three = (Synthetic(num_classes=count).read("cells_0000") for count in (2, 3))
    np.testing.assert_array_equal(two.image, three.image)
    assert (two.target[three.target == 2] == 0).all()
    assert (three.target == 2).any()


def test_gray_alone_does_not_tell_the_membrane(plain):
    for case in plain:
        membrane = case.target == 1
        assert dice(case.image[0] < threshold_otsu(case.image[0]), membrane) < 0.7
        assert max(dice(case.image[0] < level, membrane) for level in range(20, 220, 4)) < 0.75


def test_filters_do_tell_the_membrane(plain):
    """A linear model over scikit-image's multi-scale features beats the best threshold."""

    def features(case):
        found = multiscale_basic_features(case.image[0], sigma_min=1, sigma_max=8)
        return np.concatenate([found.reshape(-1, found.shape[-1]), np.ones((case.target.size, 1))], axis=1)

    weights = np.linalg.lstsq(
        np.concatenate([features(case) for case in plain[:8]]),
        np.concatenate([case.target.ravel() == 1 for case in plain[:8]]).astype(float),
        rcond=None,
    )[0]
    level = 0.4
    learned = np.mean([dice(features(case) @ weights > level, case.target.ravel() == 1) for case in plain[8:]])
    best = np.mean([max(dice(c.image[0] < at, c.target == 1) for at in range(20, 220, 4)) for c in plain[8:]])
    assert learned > best + 0.06


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (128,)}, "axes in size"),
        ({"size": (128, 8)}, "size=8 must be an integer of at least 16"),
        ({"count": 0}, "count=0"),
        ({"num_classes": 7}, "num_classes=7 is not one of"),
        ({"num_classes": 1}, "num_classes=1 is not one of"),
        ({"channels": 0}, "channels=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        Synthetic(**options)


def test_unknown_case():
    with pytest.raises(ValueError, match="cells_0016"):
        Synthetic().read("cells_0016")
