import numpy as np

from segexp.pictures.figures import COLORS, CONFUSED, HEADER, INVENTED, MISSED, draw_case


def drawn(image: np.ndarray, target: np.ndarray, probs: np.ndarray) -> list[np.ndarray]:
    """The four panels, every pixel once however much small cases are enlarged."""
    sheet = draw_case(image, target, probs)[HEADER:]
    width = (sheet.shape[1] - 6) // 4
    factor = width // probs.shape[-1]
    return [sheet[::factor, i * (width + 2) : i * (width + 2) + width : factor] for i in range(4)]


def panels(image: np.ndarray, target: np.ndarray, pred: np.ndarray, classes: int = 2) -> list[np.ndarray]:
    return drawn(image, target, np.moveaxis(np.eye(classes)[pred], -1, 0))


def test_small_cases_are_enlarged_by_a_whole_factor_and_large_ones_are_not():
    for width, wanted in ((300, 300), (50, 150)):
        target = np.zeros((20, width), int)
        sheet = draw_case(np.zeros((1, 20, width)), target, np.moveaxis(np.eye(2)[target], -1, 0))
        assert sheet.shape == (20 * wanted // width + HEADER, 4 * wanted + 6, 3)


def test_each_kind_of_error_has_its_color_and_unlabeled_pixels_have_none():
    target = np.array([[0, 1, 0, 1, 2, 255]]).repeat(6, 0)
    pred = np.array([[0, 1, 1, 0, 1, 1]]).repeat(6, 0)
    error = panels(np.zeros((1, 6, 6)), target, pred, classes=3)[3][0]
    np.testing.assert_array_equal(error[2], INVENTED)
    np.testing.assert_array_equal(error[3], MISSED)
    np.testing.assert_array_equal(error[4], CONFUSED)
    for right in (0, 1, 5):
        assert len(set(error[right])) == 1  # gray


def test_truth_and_prediction_are_tinted_and_the_input_is_gray():
    image = np.linspace(0, 1, 64).reshape(1, 8, 8)
    target, pred = np.zeros((8, 8), int), np.ones((8, 8), int)
    gray, truth, prediction, _ = panels(image, target, pred)
    assert (gray[..., 0] == gray[..., 2]).all()
    np.testing.assert_array_equal(truth, gray)
    expected = (0.45 * gray + 0.55 * COLORS[0]).astype(np.uint8)
    np.testing.assert_array_equal(prediction, expected)


def test_volumes_show_their_middle_slice_and_color_stays_color():
    image = np.zeros((3, 5, 8, 8))
    image[0, 2] = np.linspace(0, 1, 64).reshape(8, 8)
    target = np.zeros((5, 8, 8), int)
    target[2, 4:] = 1
    gray, truth, *_ = panels(image, target, target)
    assert gray[..., 0].max() == 255
    assert gray[..., 1].max() == 0
    assert gray[0, 0, 0] > gray[-1, 0, 0]  # the second axis runs upwards
    assert not np.array_equal(truth[:4], gray[:4])
    np.testing.assert_array_equal(truth[4:], gray[4:])


def test_each_channel_of_a_color_image_is_stretched_by_itself():
    image = np.stack([np.linspace(0, top, 64).reshape(8, 8) - top for top in (1, 10, 100)])
    gray, *_ = panels(image, np.zeros((8, 8), int), np.zeros((8, 8), int))
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])
    assert gray.min() == 0
    assert gray.max() == 255


def test_a_constant_image_is_drawn():
    gray = panels(np.full((1, 8, 8), 3.0), np.zeros((8, 8), int), np.zeros((8, 8), int))[0]
    assert (gray == 0).all()


def test_later_regions_are_drawn_above_earlier_ones_and_errors_are_those_of_any_region():
    image = np.zeros((1, 6, 6))
    truth = np.array([[[1, 1, 0, 1, 0, 255]], [[0, 1, 0, 0, 0, 255]]]).repeat(6, 1)
    probs = np.array([[[0.9, 0.9, 0.6, 0.5, 0.1, 0.9]], [[0.1, 0.9, 0.1, 0.9, 0.1, 0.9]]]).repeat(6, 1)
    gray, true, predicted, error = (panel[0] for panel in drawn(image, truth, probs))
    whole, part = ((0.45 * gray[0] + 0.55 * color).astype(np.uint8) for color in COLORS[:2])
    np.testing.assert_array_equal(true, [whole, part, gray[2], whole, gray[4], gray[5]])
    np.testing.assert_array_equal(predicted, [whole, part, whole, part, gray[4], part])
    np.testing.assert_array_equal(error[2], INVENTED)
    np.testing.assert_array_equal(error[3], CONFUSED)  # the whole is missed, the part invented
    for right in (0, 1, 4, 5):
        assert len(set(error[right])) == 1  # gray


def test_regions_of_volumes_show_their_middle_slice():
    truth = np.zeros((2, 5, 8, 8), int)
    truth[0, 2, 4:] = 1
    _, shown, *_ = drawn(np.zeros((1, 5, 8, 8)), truth, truth.astype(float))
    assert shown[:4].any()
    assert not shown[4:].any()
