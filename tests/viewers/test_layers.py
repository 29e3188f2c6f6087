import numpy as np
import pytest

from segexp.data.files.segments import Segment
from segexp.viewers.layers import View, contrast, image_layers, label_layers, layers_of, place

SEGMENTS = [Segment("cell", 7, (86, 180, 233)), Segment("debris", 40, (230, 159, 0))]
IMAGE = np.arange(24, dtype=np.uint16).reshape(1, 4, 6)


def view(**given: object) -> View:
    labels = np.zeros((4, 6), np.uint8)
    labels[0], labels[1] = 7, 40
    usual = {"title": "a", "image": IMAGE, "spacing": (0.5, 0.25), "unit": "mm", "segments": SEGMENTS, "labels": labels}
    return View(**(usual | given))


def named(shown: View) -> dict[str, tuple[np.ndarray, dict, str]]:
    return {layer[1]["name"]: layer for layer in layers_of(shown)}


def test_a_mask_without_truth_is_a_layer_of_labels_over_the_image():
    layers = layers_of(view())
    assert [(arguments["name"], kind) for _, arguments, kind in layers] == [
        ("image", "image"),
        ("prediction", "labels"),
    ]
    assert all(arguments["scale"] == (0.5, 0.25) and arguments["units"] == ("mm", "mm") for _, arguments, _ in layers)
    data, arguments, _ = layers[1]
    assert np.array_equal(data, view().labels)
    assert arguments["features"] == {"index": [7, 40], "class": ["cell", "debris"]}
    assert arguments["colormap"][None] == arguments["colormap"][0] == "transparent"
    assert np.allclose(
        np.array([arguments["colormap"][7], arguments["colormap"][40]]) * 255, [(86, 180, 233), (230, 159, 0)]
    )


def test_uncertainty_is_hidden_on_a_scale_that_all_cases_share():
    layers = named(view(uncertainty={"std": np.full((4, 6), 0.2), "entropy": np.zeros((4, 6))}))
    assert list(layers) == ["image", "entropy", "standard deviation", "prediction"]
    data, arguments, kind = layers["standard deviation"]
    assert (kind, arguments["visible"], arguments["contrast_limits"]) == ("image", False, (0.0, 0.5))
    assert data.dtype == np.float32
    assert layers["entropy"][1]["contrast_limits"] == (0.0, 1.0)


def test_truth_and_error_are_there_where_there_is_a_truth():
    """Row 0 is right, row 1 of the wrong class, row 2 missed but for a pixel that is not labeled."""
    truth = np.zeros((4, 6), np.uint8)
    truth[0], truth[1], truth[2], truth[2, 0] = 7, 7, 40, 255
    labels = view().labels.copy()
    labels[3, 5] = 7
    layers = named(view(truth=truth, labels=labels))
    assert list(layers) == ["image", "truth", "prediction", "error"]
    expected = np.zeros((4, 6))
    expected[1], expected[2, 1:], expected[3, 5] = 3, 1, 2
    assert np.array_equal(layers["error"][0], expected)
    assert layers["error"][1]["features"]["class"] == ["missed", "invented", "confused"]
    assert layers["truth"][1]["features"] == {"index": [7, 40, 255], "class": ["cell", "debris", "not labeled"]}
    assert [layers[name][1].get("visible", True) for name in layers] == [True, False, True, False]


def test_overlapping_regions_are_layers_of_their_own():
    regions = np.zeros((2, 4, 6), bool)
    regions[0, :2], regions[1, 0] = True, True
    truth = regions.astype(np.int64)
    truth[:, 3], truth[1, 1, 2] = 255, 1
    segments = [Segment("whole", 1, (1, 2, 3)), Segment("core", 1, (4, 5, 6))]
    layers = named(view(labels=regions, truth=truth, segments=segments))
    assert list(layers) == [
        "image",
        *(f"{what}: {name}" for what in ("truth", "prediction") for name in ("whole", "core")),
        "error",
    ]
    assert np.array_equal(layers["prediction: core"][0], regions[1])
    assert layers["prediction: core"][1]["features"] == {"index": [1], "class": ["core"]}
    assert set(np.unique(layers["truth: whole"][0])) == {0, 1, 255}
    assert np.argwhere(layers["error"][0]).tolist() == [[1, 2]]


def test_probabilities_are_as_transparent_as_they_are_low():
    probs = np.random.default_rng(0).random((3, 4, 6)).astype(np.float16)
    layers = named(view(probabilities=probs))
    data, arguments, kind = layers["probability: debris"]
    assert kind == "image"
    assert np.array_equal(data, probs[2])
    assert arguments["colormap"][:, 3].tolist() == [0, 1]
    assert not arguments["visible"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_three_channels_of_a_flat_image_are_rgb(dtype):
    ((data, arguments, _),) = image_layers(np.random.default_rng(0).integers(0, 255, (3, 4, 6)).astype(dtype))
    assert (data.shape, data.dtype, arguments["rgb"]) == ((4, 6, 3), np.uint8, True)


def test_channels_of_a_volume_are_layers_of_which_the_first_is_seen():
    layers = image_layers(np.zeros((3, 2, 4, 6), np.float32))
    assert [arguments["visible"] for _, arguments, _ in layers] == [True, False, False]
    assert layers[1][1]["name"] == "image, channel 1"


def test_contrast_leaves_outliers_out_and_is_never_empty():
    values = np.zeros((300, 400, 50), np.int16)
    values[:, :, 25:], values[0, 0, 0] = 100, 30_000
    assert contrast(values) == (0, 100)
    assert contrast(np.full((4, 6), 7)) == (7, 8)


def test_pixels_without_a_size_in_mm_have_no_unit():
    assert place((1.0, 1.0), "px") == {"scale": (1.0, 1.0)}


def test_labels_without_a_truth_have_no_color_for_what_is_not_labeled():
    ((_, arguments, _),) = label_layers("prediction", np.full((4, 6), 255, np.uint8), SEGMENTS, regions=False)
    assert 255 not in arguments["colormap"]
