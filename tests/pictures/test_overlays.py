import numpy as np

from segexp.pictures.figures import COLORS
from segexp.pictures.overlays import GAP, draw_overlay


def test_image_and_overlay_stand_side_by_side_enlarged():
    image = np.zeros((1, 64, 32), np.uint8)
    image[0, :, 16:] = 200
    layers = np.zeros((2, 64, 32), bool)
    layers[0, :8], layers[1, :4] = True, True
    drawn = draw_overlay(image, layers)
    assert drawn.shape == (256, 2 * 128 + GAP, 3)
    left, right = drawn[:, :128], drawn[:, 128 + GAP :]
    assert (left[:, :64] == 0).all()
    assert (left[:, 64:] == 255).all()
    assert (left[32:] == right[32:]).all()
    for row, color in ((0, COLORS[1]), (16, COLORS[0])):  # the later layer covers the earlier one
        assert np.abs(right[row, 0] - 0.55 * color).max() <= 1


def test_of_a_volume_the_fullest_slice_is_shown_anterior_up():
    image = np.random.default_rng(0).integers(0, 99, (3, 5, 260, 300), dtype=np.uint16)
    layers = np.zeros((1, 5, 260, 300), bool)
    layers[0, 1, 0, 0], layers[0, 3, 0, :9] = True, True
    drawn = draw_overlay(image, layers)
    assert drawn.shape == (260, 602, 3)
    changed = (drawn[:, :300] != drawn[:, 302:]).any(-1)
    assert np.argwhere(changed).tolist() == [[259, column] for column in range(9)]


def test_large_and_empty_images_are_drawn():
    drawn = draw_overlay(np.zeros((1, 10, 4000)), np.zeros((1, 10, 4000), bool))
    assert drawn.shape == (4, 2 * 1334 + GAP, 3)
    assert draw_overlay(np.ones((1, 3, 8, 8)), np.zeros((1, 3, 8, 8), bool)).shape == (256, 512 + GAP, 3)


def test_classes_are_drawn_as_their_regions():
    labels = np.random.default_rng(1).choice([0, 7, 40], (6, 260, 300)).astype(np.uint8)
    labels[4, :130] = 40
    image = np.random.default_rng(0).integers(0, 99, (1, 6, 260, 300), dtype=np.uint8)
    regions = draw_overlay(image, np.stack([labels == 7, labels == 40]))
    assert np.array_equal(draw_overlay(image, labels, [7, 40]), regions)
