"""What every transform of every preset in conf/augment must keep, whatever it draws."""

import albumentations as A
import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scipy import ndimage

from segexp.config import config_dir
from segexp.data.augmentation.appearance import GRAY_OR_RGB
from segexp.data.augmentation.augment import Augment

GRAY = {0: 0.2, 1: 0.5, 2: 0.8, 255: 0.35}  # the image as a function of the mask


def transforms() -> list:
    found = []
    for path in sorted((config_dir() / "augment").glob("*.yaml")):
        for node in OmegaConf.to_container(OmegaConf.load(path))["transforms"]:
            name = node.get("transform", node["_target_"].rpartition(".")[2])
            found.append(pytest.param(node | {"p": 1.0}, id=f"{path.stem}-{name}"))
    return found


def scene(size: tuple[int, ...], channels: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blocks of three classes and of unlabeled pixels; image and weight map are functions of the mask."""
    blocks = sum(axis // 16 * (2 if i else 1) for i, axis in enumerate(reversed(np.indices(size))))
    mask = np.array([0, 1, 2, 255], np.uint8)[blocks % 4]
    image = np.vectorize(GRAY.get)(mask).astype(np.float32)
    return np.repeat(image[None], channels, axis=0), mask, mask.astype(np.float32) * 2


each_transform = pytest.mark.parametrize("node", transforms())
sizes = st.sampled_from([(48, 48), (3, 48, 48)])
few = settings(max_examples=5, deadline=None, derandomize=True)


@each_transform
@few
@given(seed=st.integers(0, 2**32), size=sizes, channels=st.sampled_from([1, 3, 5]))
def test_shapes_types_and_labels_stay(node, seed, size, channels):
    transform = instantiate(node, _convert_="all")
    image, mask, weight = scene(size, channels)
    if channels == 5 and isinstance(transform, GRAY_OR_RGB):
        with pytest.raises(ValueError, match="for images of 1 or 3 channels, these have 5: take another preset"):
            Augment([transform])(image, mask, weight, np.random.default_rng(seed))
        return
    kept = image.copy(), mask.copy(), weight.copy()
    moved, labels, weights = Augment([transform])(image, mask, weight, np.random.default_rng(seed))
    assert (moved.shape, moved.dtype) == (image.shape, np.float32)
    assert (labels.shape, labels.dtype) == (mask.shape, np.uint8)
    assert 0 <= moved.min() <= moved.max() <= 1  # nan fails too
    assert set(np.unique(labels)) <= {0, 1, 2, 255}
    np.testing.assert_array_equal(weights, labels.astype(np.float32) * 2)
    for before, after in zip(kept, (image, mask, weight), strict=True):  # the case itself is not written to
        np.testing.assert_array_equal(after, before)


@each_transform
@few
@given(seed=st.integers(0, 2**32), size=sizes)
def test_mask_stays_on_the_image(node, seed, size):
    """Inside the blocks of the moved mask the moved image has the gray of the class; appearance leaves the mask."""
    transform = instantiate(node, _convert_="all")
    image, mask, _ = scene((*size[:-2], 96, 96))
    moved, labels, _ = Augment([transform])(image, mask, None, np.random.default_rng(seed))
    if not isinstance(transform, A.DualTransform):
        np.testing.assert_array_equal(labels, mask)
        return
    window = (1, 3, 3)[-labels.ndim :]
    inside = ndimage.minimum_filter(labels, window) == ndimage.maximum_filter(labels, window)
    misses = np.abs(moved[0] - np.vectorize(GRAY.get)(labels)) > 0.075  # half the least distance of two classes
    assert inside.mean() > 0.3
    if node["_target_"].endswith("QuarterTurns"):
        inside[:] = True
    assert misses[inside].mean() < 0.01


@each_transform
@few
@given(seed=st.integers(0, 2**32), size=sizes)
def test_equal_generators_give_equal_patches(node, seed, size):
    image, mask, _ = scene(size)
    twins = [Augment([instantiate(node, _convert_="all")]) for _ in range(2)]
    twins[1](image, mask, None, np.random.default_rng(seed + 1))  # what was drawn before must not matter
    for one, two in zip(*(twin(image, mask, None, np.random.default_rng(seed))[:2] for twin in twins), strict=True):
        np.testing.assert_array_equal(one, two)


@each_transform
def test_other_generators_give_other_patches(node):
    augment = Augment([instantiate(node, _convert_="all")])
    image, mask, _ = scene((96, 96))
    seen = {augment(image, mask, None, np.random.default_rng(seed))[0].tobytes() for seed in range(12)}
    assert len(seen) > 2


RESAMPLING = [p for p in transforms() if p.id.endswith(("Blur", "Downscale", "Anisotropy", "Motion"))]


@pytest.mark.parametrize("node", RESAMPLING)
def test_lost_resolution_does_not_shift_the_image(node):
    """The center of gravity of a bright disc stays where the mask says it is, on average over draws."""
    grid = np.indices((64, 64)) - 31.5
    disc = np.hypot(*grid) < 9
    augment = Augment([instantiate(node, _convert_="all")])
    draws = [augment(disc[None].astype(np.float32), disc, None, np.random.default_rng(s))[0][0] for s in range(30)]
    centers = [ndimage.center_of_mass(np.where(draw > 0.25, draw, 0)) for draw in draws]
    assert np.abs(np.mean(centers, axis=0) - 31.5).max() < 0.25
