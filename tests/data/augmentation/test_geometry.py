import itertools

import numpy as np
import pytest

from segexp.data import Augment

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
