"""Tiled prediction against MONAI, against one look at the whole image, and by hand."""

import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from segexp.inference import FlipTurnPredictor, SlicePredictor, TiledPredictor
from segexp.inference.probabilities import ACTIVATIONS

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def conv_network(dims: int, padding: int | str, width: int = 4, classes: int = 3) -> nn.Module:
    """Two 3-wide convolutions: a receptive field of 2 px on each side."""
    torch.manual_seed(0)
    conv = CONVOLUTIONS[dims]
    layers = conv(2, width, 3, padding=padding), nn.Tanh(), conv(width, classes, 3, padding=padding)
    network = nn.Sequential(*layers).eval()
    network.margin = 0 if padding == "same" else 2
    return network


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def whole(network: nn.Module, image: Tensor, beyond: list[int]) -> Tensor:
    """Run the network once on the image that numpy mirrored."""
    padded = np.pad(image.numpy(), [(0, 0), (0, 0), *((px, px) for px in beyond)], mode="reflect")
    with torch.no_grad():
        return network(torch.from_numpy(padded)).softmax(1)


def keep(image: Tensor) -> Tensor:
    """Leave the values alone."""
    return image


@pytest.fixture(autouse=True)
def keep_activation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ACTIVATIONS, "keep", keep)


def predict_tiled(network: object, image: Tensor, *settings: Any, **more: Any) -> Tensor:
    return TiledPredictor(*settings, **more)(network, image)


class Recorder:
    """A network that gives back its input and remembers it."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []

    def __call__(self, tiles: Tensor) -> Tensor:
        self.inputs.append(tiles.clone())
        return tiles


@pytest.mark.parametrize("blending", ["constant", "gaussian"])
@pytest.mark.parametrize(
    ("shape", "tile", "overlap"),
    [
        ((1, 2, 50, 61), 16, 0.25),
        ((2, 2, 33, 32), (16, 20), 0.5),
        ((3, 2, 20, 20), 20, 0.6),
        ((2, 2, 11, 12, 13), (5, 12, 8), 0.3),
        ((1, 2, 9, 9, 9), 4, 0.0),
        ((1, 2, 7, 7), 2, 0.9),
    ],
)
def test_equals_monai(blending: str, shape: tuple, tile: int | tuple, overlap: float) -> None:
    network = conv_network(len(shape) - 2, "same")
    image = draw(*shape)
    sides = (tile,) * (len(shape) - 2) if isinstance(tile, int) else tile
    with torch.inference_mode():
        theirs = sliding_window_inference(image, sides, 4, nn.Sequential(network, nn.Softmax(1)), overlap, blending)
    ours = predict_tiled(network, image, tile, overlap, border=0, blending=blending)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"overlap": [0.5, 0.25]}, {"overlap": [0.5, 0.25]}),
        ({"overlap": 4}, {"overlap": 0.25}),  # px
        ({"overlap": [8, 0.25]}, {"overlap": [0.5, 0.25]}),
        ({"sigma": 0.25}, {"sigma_scale": 0.25}),
        ({"sigma": [0.05, 0.3]}, {"sigma_scale": [0.05, 0.3]}),
        ({"padding_mode": "constant", "tile": [16, 48]}, {"padding_mode": "constant", "roi_size": (16, 48)}),
        ({"padding_mode": "replicate", "tile": [48, 48]}, {"padding_mode": "replicate", "roi_size": (48, 48)}),
    ],
)
def test_settings_equal_those_of_monai(ours: dict, theirs: dict) -> None:
    network, image = conv_network(2, "same"), draw(2, 2, 33, 29)
    settings = {"roi_size": (16, 16), "overlap": 0.25, "mode": "gaussian", **theirs}
    with torch.inference_mode():
        expected = sliding_window_inference(
            image, sw_batch_size=4, predictor=nn.Sequential(network, nn.Softmax(1)), **settings
        )
    found = predict_tiled(network, image, **{"tile": 16, "border": 0, **ours})
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", ["constant", "replicate", "reflect"])
@pytest.mark.parametrize("border", [0, 3, 20])
def test_beyond_the_image_lies_what_torch_pads(mode: str, border: int) -> None:
    recorder, image = Recorder(), draw(1, 1, 21, 24) + 5
    predict_tiled(recorder, image, 1000, activation="keep", border=border, padding_mode=mode)
    (tile,) = recorder.inputs
    before = [(1000 - side) // 2 for side in (21, 24)]
    reach = min(border + 5, 20)
    window = tile[..., before[0] - reach : before[0] + 21 + reach, before[1] - reach : before[1] + 24 + reach]
    assert torch.equal(window, nn.functional.pad(image, [reach] * 4, mode=mode))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"overlap": 16}, "overlap=16 px must be less than the side of the tile, 16 px"),
        ({"overlap": 1.0}, "overlap=1.0 must be a number of at least 0 and below 1: it is a fraction of the tile"),
        ({"overlap": -1}, "overlap=-1 must be"),
        ({"overlap": True}, "overlap=True must be"),
        ({"overlap": [0.5]}, r"overlap=\[0.5\] must have one number per spatial axis of the image: 2"),
        ({"sigma": [0.1, 0.1, 0.1]}, "must have one number per spatial axis"),
        ({"sigma": 0}, "sigma=0 must be a number of at least 0.001"),
        ({"padding_mode": "mirror"}, "padding_mode='mirror' is not one of"),
    ],
)
def test_refuses_settings_out_of_range(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        predict_tiled(conv_network(2, "same"), draw(1, 2, 20, 20), **{"tile": 16, **settings})


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "tile"), [((1, 2, 768, 768), 256), ((1, 2, 96, 96, 96), 48)])
def test_takes_no_longer_than_monai(shape: tuple, tile: int) -> None:
    dims = len(shape) - 2
    network = conv_network(dims, "same", width=16)
    image = draw(*shape)
    soft = nn.Sequential(network, nn.Softmax(1))
    ours, theirs = [], []
    with torch.inference_mode():
        for _ in range(6):
            theirs.append(seconds(lambda: sliding_window_inference(image, (tile,) * dims, 4, soft, 0.25, "gaussian")))
            ours.append(seconds(lambda: predict_tiled(network, image, tile, border=0)))
    assert median(ours) < median(theirs)


def seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


@pytest.mark.parametrize(("shape", "tile"), [((1, 2, 40, 37), 16), ((1, 2, 20, 18, 17), 10)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_has_no_seams_where_tiles_see_the_whole_receptive_field(shape: tuple, tile: int, overlap: float) -> None:
    reach = 2
    network = conv_network(len(shape) - 2, "same")
    image = draw(*shape)
    clean = torch.ones(shape[2:], dtype=torch.bool)
    for axis, size in enumerate(shape[2:]):
        step = int(tile * (1 - overlap))
        for start in {*range(0, size - tile, step), size - tile}:
            if start > 0:
                clean.narrow(axis, start, reach).fill_(False)
            if start + tile < size:
                clean.narrow(axis, start + tile - reach, reach).fill_(False)
    tiled = predict_tiled(network, image, tile, overlap, border=0)
    difference = (tiled - whole(network, image, [0] * len(shape[2:]))).abs().amax((0, 1))
    assert clean.any()
    assert difference[clean].max() < 1e-5
    assert difference[~clean].max() > 1e-3


@pytest.mark.parametrize(
    ("shape", "tile"),
    [
        ((1, 2, 30), 11),
        ((2, 2, 23, 17), (9, 12)),
        ((1, 2, 23, 17), None),
        ((1, 2, 23, 17), 64),
        ((1, 2, 1, 3), 7),
        ((3, 2, 5, 6), None),
        ((1, 2, 9, 8, 11), (7, 6, 15)),
    ],
)
def test_a_valid_network_is_exact(shape: tuple, tile: int | tuple | None) -> None:
    network = conv_network(len(shape) - 2, "valid")
    image = draw(*shape)
    expected = whole(network, image, [2] * len(shape[2:]))
    torch.testing.assert_close(predict_tiled(network, image, tile), expected, rtol=0, atol=1e-6)


def test_a_valid_network_may_lack_a_margin_along_one_axis_alone() -> None:
    network = nn.Conv2d(2, 3, (5, 1))
    network.margin = (2, 0)
    image = draw(2, 2, 19, 14)
    torch.testing.assert_close(predict_tiled(network, image, 8), whole(network, image, [2, 0]), rtol=0, atol=1e-6)


def test_tiles_of_a_valid_network_advance_by_its_output() -> None:
    sizes = []

    def network(tiles: Tensor) -> Tensor:
        sizes.append(tuple(tiles.shape))
        return tiles[:, :, 92:-92]

    network.margin = 92
    image = draw(1, 1, 1000)
    torch.testing.assert_close(predict_tiled(network, image, 572, activation="keep"), image)
    assert sizes == [(3, 1, 572)]  # 388 + 388 + 224 px, none of them predicted twice


def test_a_valid_network_that_tells_no_margin_or_another_one_is_refused() -> None:
    def network(tiles: Tensor) -> Tensor:
        return tiles[:, :, 4:-4]

    sentence = (
        r"output of shape \(1, 1, {}\) does not fit .* margin of \({},\) px it must be \(N, K, 20\).*attribute margin"
    )
    with pytest.raises(ValueError, match=sentence.format(12, 0)):
        predict_tiled(network, draw(1, 1, 20))
    network.margin = 2
    with pytest.raises(ValueError, match=sentence.format(16, 2)):
        predict_tiled(network, draw(1, 1, 20))


def test_a_tile_no_larger_than_the_margins_is_refused() -> None:
    network = conv_network(2, "valid")
    with pytest.raises(ValueError, match="tile=4 must be larger than twice the margin .* 2 px on each side: .* 4 px"):
        predict_tiled(network, draw(1, 2, 20, 20), 4)


def test_tiles_lie_at_regular_positions_and_the_last_one_is_shifted_inward() -> None:
    network = Recorder()
    image = torch.arange(23.0).reshape(1, 1, 23)
    result = predict_tiled(network, image, 8, 0.25, border=0, batch_size=3, activation="keep")
    assert [[int(tile[0, 0]) for tile in tiles] for tiles in network.inputs] == [[0, 6, 12], [15]]
    torch.testing.assert_close(result, image)


def test_the_border_is_half_the_overlap_where_an_axis_takes_several_tiles() -> None:
    network = Recorder()
    image = torch.arange(20.0).reshape(1, 1, 4, 5)
    predict_tiled(network, image, (4, 4), 0.5, activation="keep")
    expected = np.pad(image.numpy()[0, 0], [(0, 0), (1, 1)], mode="reflect")
    starts = (0, 2, 3)
    np.testing.assert_array_equal(network.inputs[0][:, 0], np.stack([expected[:, s : s + 4] for s in starts]))


@pytest.mark.parametrize("border", [1, 5, 13])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("tile", [None, 6, 50])
def test_the_image_is_mirrored_again_and_again(border: int, size: int, tile: int | None) -> None:
    network = Recorder()
    image = draw(2, 1, size, 4)
    result = predict_tiled(network, image, tile, 0.0, border, batch_size=1, activation="keep")
    torch.testing.assert_close(result, image)
    beyond = [(max(2 * border, (tile or 0) - side), side) for side in (size, 4)]
    pads = [(more // 2, more - more // 2) for more, _ in beyond]
    expected = np.pad(image.numpy()[0, 0], pads, mode="reflect")
    first = network.inputs[0][0, 0].numpy()
    np.testing.assert_array_equal(first, expected[: first.shape[0], : first.shape[1]])
    last = network.inputs[-1][0, 0].numpy()
    np.testing.assert_array_equal(
        last, np.pad(image.numpy()[1, 0], pads, mode="reflect")[-last.shape[0] :, -last.shape[1] :]
    )


def test_a_border_gives_the_edges_mirrored_context() -> None:
    network = conv_network(2, "same")
    image = draw(1, 2, 14, 15)
    expected = whole(network, image, [6, 6])[:, :, 6:-6, 6:-6]
    torch.testing.assert_close(predict_tiled(network, image, border=6), expected)
    assert not torch.allclose(predict_tiled(network, image, border=0), expected)


@pytest.mark.parametrize(("blending", "middle"), [("constant", 0.5), ("gaussian", None)])
def test_probabilities_are_averaged_with_the_weights_of_the_window(blending: str, middle: float | None) -> None:
    def network(tiles: Tensor) -> Tensor:
        sure = 4 * tiles.amax(2, keepdim=True).expand(-1, -1, 4)
        return torch.cat([torch.zeros_like(sure), sure], dim=1)

    image = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).reshape(1, 1, 6)
    probs = predict_tiled(network, image, 4, 0.5, border=0, blending=blending)
    low, high = 0.5, 1 / (1 + math.exp(-4))
    # The tiles [0, 4) and [2, 6) share px 2 and 3, 0.5 and 1.5 px from their middles; sigma is 4 / 8 px.
    near, far = (math.exp(-(d**2) / (2 * 0.5**2)) for d in (0.5, 1.5))
    share = near / (near + far) if middle is None else middle
    expected = [low, low, share * low + (1 - share) * high, (1 - share) * low + share * high, high, high]
    np.testing.assert_allclose(probs[0, 1], expected, rtol=1e-5)
    torch.testing.assert_close(probs.sum(1), torch.ones(1, 6))


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 2, 3, 70), (1, 2, 17), (2, 2, 4, 9, 31)])
@pytest.mark.parametrize(("padding", "tile"), [("same", None), ("same", 5), ("same", 16), ("valid", 5), ("valid", 16)])
def test_the_output_has_the_size_of_the_image(shape: tuple, padding: str, tile: int | None) -> None:
    probs = predict_tiled(conv_network(len(shape) - 2, padding), draw(*shape), tile)
    assert probs.shape == (shape[0], 3, *shape[2:])
    torch.testing.assert_close(probs.sum(1), torch.ones(shape[0], *shape[2:]))


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_batch_size_changes_nothing(batch_size: int) -> None:
    network = conv_network(2, "same")
    image = draw(3, 2, 20, 30)
    expected = torch.cat([predict_tiled(network, one, 12, batch_size=4) for one in image.split(1)])
    torch.testing.assert_close(predict_tiled(network, image, 12, batch_size=batch_size), expected)


def test_half_precision_is_averaged_in_float32() -> None:
    network = conv_network(2, "same").bfloat16()
    image = draw(1, 2, 20, 30).bfloat16()
    assert predict_tiled(network, image, 12).dtype == torch.float32
    with torch.no_grad():
        expected = network(image).float().softmax(1)
    torch.testing.assert_close(predict_tiled(network, image), expected)


def test_records_no_gradient_and_leaves_the_mode_alone() -> None:
    network = conv_network(2, "same").train()
    seen = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(torch.is_inference_mode_enabled()))
    assert not predict_tiled(network, draw(1, 2, 9, 9), 4).requires_grad
    assert all(seen)
    assert network.training


def test_the_predictor_keeps_its_settings() -> None:
    network = conv_network(2, "same")
    image = draw(1, 2, 40, 30)
    settings = {"tile": [16, 20], "overlap": 0.4, "border": 3, "blending": "constant", "batch_size": 2}
    assert torch.equal(TiledPredictor(**settings)(network, image), predict_tiled(network, image, **settings))
    assert torch.equal(TiledPredictor()(network, image), predict_tiled(network, image))


def test_overlapping_regions_get_a_probability_each() -> None:
    network, image = conv_network(2, 0), draw(1, 2, 24, 30)
    probs = TiledPredictor(tile=16, activation="sigmoid")(network, image)
    torch.testing.assert_close(probs[..., 2:-2, 2:-2], torch.sigmoid(network(image)).detach())


def test_views_of_overlapping_regions_are_averaged() -> None:
    network, image = conv_network(2, "same"), draw(1, 2, 24, 30)
    turned = FlipTurnPredictor(TiledPredictor(activation="sigmoid"), turns=False)(network, image)
    views = [torch.sigmoid(network(image.flip(axes))).flip(axes) for axes in ([], [-1], [-2], [-2, -1])]
    torch.testing.assert_close(turned, torch.stack(views).mean(0).detach())


def test_refuses_an_unknown_activation() -> None:
    with pytest.raises(ValueError, match=r"activation='sigmoids' .*did you mean 'sigmoid'"):
        TiledPredictor(activation="sigmoids")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tile": 0}, "tile=0 must be an integer of at least 1"),
        ({"tile": [8, -1]}, "tile=-1 must be"),
        ({"tile": 2.5}, r"tile=2\.5 must be an integer"),
        ({"tile": 8, "overlap": 1.0}, "overlap=1.0 must be a number of at least 0 and below 1: it is a fraction"),
        ({"tile": 8, "overlap": -0.1}, r"overlap=-0\.1 must be a number of at least 0"),
        ({"border": -1}, "border=-1 must be an integer of at least 0"),
        ({"border": "Auto"}, r"border='Auto' is not one of \['auto'\] \(did you mean 'auto'\?\)"),
        ({"blending": "gausian"}, r"blending='gausian' .*did you mean 'gaussian'"),
        ({"batch_size": 0}, "batch_size=0 must be"),
    ],
)
def test_refuses_wrong_settings(settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TiledPredictor(**settings)


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (lambda tiles: tiles[:, :, 1:], r"output of shape \(4, 2, 7, 8\) does not fit tiles of shape \(4, 2, 8, 8\)"),
        (lambda tiles: tiles.repeat(1, 1, 2, 2), r"output of shape \(4, 2, 16, 16\) does not fit"),
        (lambda tiles: tiles[:, :, 4:4], r"output of shape \(4, 2, 0, 8\) does not fit"),
        (lambda tiles: tiles.mean((2, 3)), r"output of shape \(4, 2\) does not fit"),
        (lambda tiles: tiles[:1], r"output of shape \(1, 2, 8, 8\) does not fit"),
    ],
)
def test_refuses_an_output_that_fits_no_tile(network: Callable, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        predict_tiled(network, draw(1, 2, 20, 20), 8)


@pytest.mark.parametrize(
    ("shape", "tile", "sentence"),
    [
        ((1, 2, 9, 9, 9), [4, 4], r"tile=\[4, 4\] must have one side per spatial axis of the image: 3"),
        ((2, 9), None, r"image of shape \(2, 9\) must be \(B, C, \*S\)"),
        ((1, 2, 0, 9), 4, r"image of shape \(1, 2, 0, 9\) must be"),
    ],
)
def test_refuses_images_that_do_not_fit(shape: tuple, tile: list | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        predict_tiled(keep, torch.zeros(shape), tile)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((1, 1, 8, 8), np.float32), "image is a numpy.ndarray but must be a tensor"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "image of torch.uint8 must be floating point"),
        (torch.zeros(8, 8), r"image of shape \(8, 8\) must be \(B, C, \*S\)"),
        (torch.zeros(1, 1, 0, 8), "at least 1 px along each axis"),
    ],
)
def test_what_is_no_image_is_refused(image, sentence):
    for predictor in (TiledPredictor(4), FlipTurnPredictor(TiledPredictor(4)), SlicePredictor(TiledPredictor(4))):
        with pytest.raises(ValueError, match=sentence):
            predictor(torch.nn.Identity(), image)


def test_a_network_that_gives_no_tensor_is_told_what_to_do():
    with pytest.raises(ValueError, match="the network returns a dict, not logits .* segexp.models.Select"):
        TiledPredictor(4)(lambda tiles: {"out": tiles}, torch.zeros(1, 1, 8, 8))
