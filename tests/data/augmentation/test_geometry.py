import itertools
import random

import albumentations as A
import numpy as np
import pytest
from scipy import ndimage

from segexp.data import Affine, Augment, GridElastic

NUMBERS = {(2, 3): ("y", "x"), (2, 3, 4): ("z", "y", "x")}  # axes of patches by their size


@pytest.mark.parametrize(
    ("size", "flips"),
    [(size, flips) for size, axes in NUMBERS.items() for n in (1, 2, 3) for flips in itertools.combinations(axes, n)],
)
def test_every_mirror_image_along_the_axes_comes_and_no_other(size, flips):
    """Image, mask and weight map alike, each axis on its own and in half of the draws."""
    augment, axes = Augment(flips=flips), [NUMBERS[size].index(axis) for axis in flips]
    mask = np.arange(np.prod(size), dtype=np.uint8).reshape(size)
    expected = [np.flip(mask, chosen) for n in range(len(axes) + 1) for chosen in itertools.combinations(axes, n)]
    seen = np.zeros(len(expected))
    for seed in range(160):
        image = np.stack([mask, mask + 100]).astype(np.float32) / 255
        moved, labels, weight = augment(image, mask, mask.astype(np.float32), np.random.default_rng(seed))
        np.testing.assert_array_equal(moved, np.stack([labels, labels + 100]).astype(np.float32) / 255)
        np.testing.assert_array_equal(weight, labels)
        seen += [np.array_equal(labels, one) for one in expected]
    assert seen.sum() == 160
    assert np.abs(seen / 160 - 1 / len(expected)).max() < 0.12


def test_flips_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="an axis of flips='w' is not one of"):
        Augment(flips=["w"])
    with pytest.raises(ValueError, match=r"flips=\['x', 'x'\] must name each axis once"):
        Augment(flips=["x", "x"])
    flat = Augment(flips=["z", "x"])
    message = r"augment.flips=\['z', 'x'\]: patches with two axes have no axis z.* say augment.flips=\['x'\]"
    with pytest.raises(ValueError, match=message):
        flat(np.zeros((1, 4, 4), np.float32), np.zeros((4, 4), np.uint8), None, np.random.default_rng(0))
    with pytest.raises(ValueError, match=message):
        flat.symmetries((4, 4))


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(40, 48), (6, 40, 48)])
def test_an_affine_is_that_of_albumentations(size, channels):
    settings = {"rotate": (-40, 40), "scale": (0.8, 1.25), "shear": (-8, 8)}
    ours, theirs = Augment([Affine(**settings)]), Augment([A.Affine(**settings, border_mode=4, p=1)])
    noise = np.random.default_rng(0).random((channels, *size))
    image = ndimage.gaussian_filter(noise, (0, *[1] * len(size))).astype(np.float32)
    mask = (image[0] * 50).astype(np.uint8)
    for seed in range(4):
        seen, expected = (each(image, mask, image[0], np.random.default_rng(seed)) for each in (ours, theirs))
        assert np.abs(seen[0] - image).max() > 0.05
        # albumentations lets cv2 move several channels at once, between pixels as coarsely as 1 / 32.
        np.testing.assert_allclose(seen[0], expected[0], atol=1e-6 if channels in (1, 3) else 0.02)
        np.testing.assert_array_equal(seen[1], expected[1])
        np.testing.assert_array_equal(seen[2], expected[2])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_slices_of_a_volume_are_deformed_like_images(channels):
    volume = np.random.default_rng(0).random((4, 30, 36, channels)).astype(np.float32)
    volume[:, 0, :2] = np.array([[0], [1]])  # all have the same range
    mask = (volume[..., 0] * 50).astype(np.uint8)
    elastic = GridElastic(sigma=3)
    elastic.set_random_state(np.random.default_rng(0), random.Random(0))
    maps = elastic.get_params_dependent_on_data({"shape": volume.shape}, {})
    moved, labels = elastic.apply_to_images(volume, **maps), elastic.apply_to_masks(mask, **maps)
    for each in range(4):
        for channel in range(channels):
            alone = elastic.apply(volume[each, ..., channel : channel + 1], **maps)
            np.testing.assert_allclose(moved[each, ..., channel : channel + 1], alone, atol=1e-3)
        np.testing.assert_array_equal(labels[each], elastic.apply_to_mask(mask[each], **maps))
