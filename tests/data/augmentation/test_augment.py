import random
import sys

import numpy as np
import pytest
from hydra.utils import instantiate

from segexp.config import compose, config_dir, plain
from segexp.data import Augment, GridElastic, QuarterTurns

PRESETS = ["none", *sorted({path.stem for path in (config_dir() / "augment").glob("*.yaml")} - {"none"})]


def preset(name: str) -> Augment:
    return instantiate(plain_augment(name), _convert_="all")


def plain_augment(name: str) -> dict:
    return plain(compose([f"augment={name}", "name=test"], run_dir="unused"))["augment"]


def scene(*size: int) -> tuple[np.ndarray, np.ndarray]:
    """An image that equals its mask, so that misalignment shows."""
    grid = np.indices(size)
    mask = ((grid // 7).sum(0) % 3).astype(np.uint8)
    return (mask[None] / 2).astype(np.float32), mask


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", [(64, 64), (5, 64, 64)])
def test_presets_keep_shape_labels_and_alignment(name, size):
    augment, (image, mask) = preset(name), scene(*size)
    agreement = []
    for draw in range(12):
        moved, labels, weight = augment(image, mask, mask.astype(np.float32), np.random.default_rng(draw))
        assert moved.shape == image.shape
        assert moved.dtype == np.float32
        assert labels.shape == mask.shape
        assert set(np.unique(labels)) <= set(np.unique(mask))
        np.testing.assert_array_equal(weight, labels.astype(np.float32))  # the map moved with the mask
        gray = [moved[0][labels == label].mean() for label in range(3) if (labels == label).any()]
        agreement.append(np.all(np.diff(gray) > 0))
    # The brighter class is still the brighter one in every draw, unless a random texture turns bright and dark.
    assert np.mean(agreement) >= (0.6 if name == "shift" else 1)


@pytest.mark.parametrize("name", PRESETS[1:])
def test_equal_generators_give_equal_patches_and_others_differ(name):
    augment, (image, mask) = preset(name), scene(64, 64)
    first, again, *others = (augment(image, mask, None, np.random.default_rng(s))[0] for s in (1, 1, 2, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("name", PRESETS[1:])
@pytest.mark.parametrize("size", [(48, 48), (4, 32, 48)])
def test_patches_are_those_of_the_composition_of_albumentations(name, size):
    augment, (image, mask) = preset(name), scene(*size)
    keys = ("image", "mask") if len(size) == 2 else ("images", "masks")
    for draw in range(4):
        moved, labels, _ = augment(image, mask, None, np.random.default_rng(draw))
        rng = np.random.default_rng(draw)
        augment._compose.set_random_state(rng, random.Random(int(rng.integers(2**63))))
        whole = augment._compose(**dict(zip(keys, (np.moveaxis(image, 0, -1), mask), strict=True)), spacing=None)
        np.testing.assert_array_equal(np.moveaxis(moved, 0, -1), whole[keys[0]])
        np.testing.assert_array_equal(labels, whole[keys[1]])


@pytest.mark.parametrize("name", PRESETS)
def test_presets_do_without_extras(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchio", None)
    image, mask = scene(16, 16)
    assert preset(name)(image, mask, None, np.random.default_rng(0))[0].shape == image.shape


def test_all_slices_of_a_volume_move_alike():
    image, mask = scene(64, 64)
    volume, labels = np.repeat(image[:, None], 4, axis=1), np.repeat(mask[None], 4, axis=0)
    _, moved, _ = Augment([GridElastic(sigma=5)])(volume, labels, None, np.random.default_rng(0))
    assert not np.array_equal(moved[0], mask)
    for plane in moved[1:]:
        np.testing.assert_array_equal(plane, moved[0])


def test_flips_of_both_axes_are_independent():
    """Transforms of one list do not share their random numbers."""
    import albumentations as A

    augment = Augment([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)])
    image = np.arange(4, dtype=np.float32).reshape(1, 2, 2) / 4
    mask = np.zeros((2, 2), np.uint8)
    seen = {float(augment(image, mask, None, np.random.default_rng(i))[0][0, 0, 0]) for i in range(40)}
    assert len(seen) == 4


def test_grid_elastic_moves_nodes_by_sigma():
    """The displacement at the corners is the drawn move itself: its standard deviation is sigma."""
    elastic = GridElastic(sigma=10, grid=3)
    corners = []
    for seed in range(300):
        elastic.set_random_state(np.random.default_rng(seed), random.Random(seed))
        maps = elastic.get_params_dependent_on_data({"shape": (33, 65, 1)}, {})
        corners += [maps["map_x"][0, 0], maps["map_y"][-1, -1] - 32, maps["map_x"][16, 32] - 32]
    assert np.std(corners) == pytest.approx(10, rel=0.08)
    assert np.mean(corners) == pytest.approx(0, abs=1.2)


def test_grid_elastic_without_moves_changes_nothing():
    image, mask = scene(40, 56)
    moved, labels, _ = Augment([GridElastic(sigma=0)])(image, mask, None, np.random.default_rng(0))
    np.testing.assert_allclose(moved, image, atol=1e-6)
    np.testing.assert_array_equal(labels, mask)


@pytest.mark.parametrize("name", PRESETS)
def test_gray_values_stay_in_range(name):
    """Sharp edges must not overshoot: a later gamma of a negative value would be nan."""
    augment, (image, mask) = preset(name), scene(64, 64)
    for draw in range(20):
        moved = augment(image, mask, None, np.random.default_rng(draw))[0]
        assert 0 <= moved.min() <= moved.max() <= 1


def test_many_channels_move_alike():
    image, mask = scene(40, 40)
    many = np.repeat(image, 7, axis=0)
    moved, _, _ = Augment([GridElastic(sigma=4)])(many, mask, None, np.random.default_rng(0))
    assert not np.array_equal(moved[0], image[0])
    for channel in moved[1:]:
        np.testing.assert_array_equal(channel, moved[0])


def test_a_turn_of_an_oblong_patch_is_refused():
    import albumentations as A

    image, mask = scene(32, 64)
    with pytest.raises(ValueError, match="make the last two lengths of data.sampling.patch_size equal"):
        Augment([A.Transpose(p=1)])(image, mask, None, np.random.default_rng(0))


def test_quarter_turns_keep_the_size_of_oblong_patches():
    image, mask = scene(32, 64)
    seen = set()
    for seed in range(12):
        _, labels, _ = Augment([QuarterTurns(p=1)])(image, mask, None, np.random.default_rng(seed))
        (turns,) = [k for k in (0, 2) if np.array_equal(labels, np.rot90(mask, k))]
        seen.add(turns)
    assert seen == {0, 2}


def test_grid_elastic_checks_its_arguments():
    with pytest.raises(ValueError, match="grid at least 2"):
        GridElastic(grid=1)
