"""Blocks against predictions in memory, and their memory against the size of the image."""

import gc
import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segexp.inference import Ensemble, SlicePredictor, TiledPredictor, predict_blocks, views
from segexp.models import UNet
from tests.inference.live import LiveTensors

CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}


def network(dims: int, padding: int | str = "same", channels: int = 2, classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    conv = CONVOLUTIONS[dims]
    layers = conv(channels, 4, 3, padding=padding), nn.Tanh(), conv(4, classes, 3, padding=padding)
    made = nn.Sequential(*layers).eval()
    made.margin = 2 if padding == "valid" else 0
    return made


def unit(part: np.ndarray) -> np.ndarray:
    return (part / np.float32(127.5) - 1).astype(np.float32)


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def joined(blocks: Iterator, *size: int) -> Tensor:
    """Put blocks together, having seen that they cover each px once."""
    parts = list(blocks)
    whole, covered = torch.empty(len(parts[0].probs), *size), torch.zeros(size, dtype=torch.int64)
    for px, probs in parts:
        assert probs.numel()
        whole[(slice(None), *px)] = probs
        covered[px] += 1
    assert (covered == 1).all()
    return whole


SETTINGS = [
    {"tile": 16},
    {"tile": 16, "blending": "constant", "overlap": 0.6, "batch_size": 3},
    {"tile": 9, "border": 0, "overlap": 0.0},
    {"tile": 8, "border": 21, "overlap": 0.5},
    {"tile": 128},
    {"tile": None, "border": 5},
    {"tile": 8, "border": 21, "overlap": 3, "sigma": 0.4, "padding_mode": "constant"},
]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", [(2, 41, 30), (2, 1, 50), (2, 19, 8, 13)])
def test_blocks_are_the_prediction_in_memory(shape: tuple, settings: dict, padding: str) -> None:
    if len(shape) > 3 and settings.get("border") == 21:
        settings = settings | {"border": 9}  # still wider than the image, and a fifth of the tiles
    image, net = draw(*shape), network(len(shape) - 1, padding)
    predictor = TiledPredictor(**settings)
    blocks = joined(predict_blocks(net, image, unit, predictor, spatial_dims=len(shape) - 1), *shape[1:])
    expected = predictor(net, torch.from_numpy(unit(image))[None])[0]
    torch.testing.assert_close(blocks, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("settings", [{"tile": 16, "batch_size": 3}, {"tile": None, "batch_size": 4}], ids=str)
def test_a_volume_goes_slice_by_slice(settings: dict, context: int) -> None:
    image, net = draw(2, 5, 30, 21), network(2, channels=2 * (2 * context + 1))
    predictor = TiledPredictor(**settings)
    blocks = joined(predict_blocks(net, image, unit, predictor, spatial_dims=2, context=context), *image.shape[1:])
    expected = SlicePredictor(predictor, context)(net, torch.from_numpy(unit(image))[None])[0]
    torch.testing.assert_close(blocks, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("dims", "shape", "tile"), [(2, (1, 96, 80), 64), (3, (1, 40, 48, 56), 32)])
def test_tiles_equal_the_whole_image_where_their_margin_covers_the_receptive_field(
    dims: int, shape: tuple, tile: int
) -> None:
    torch.manual_seed(1)
    net = UNet(1, 2, spatial_dims=dims, base_channels=4, depth=1).eval()
    reach = net.receptive_field() // 2 + 1  # the field is not centered on every pixel
    assert 2 * reach < tile
    image = draw(*shape)
    clean = torch.ones(shape[1:], dtype=torch.bool)
    step = int(tile * 0.5)
    for axis, size in enumerate(shape[1:]):
        for start in {*range(0, size - tile, step), size - tile}:
            if start > 0:
                clean.narrow(axis, start, reach).fill_(False)
            if start + tile < size:
                clean.narrow(axis, start + tile - reach, reach).fill_(False)
    predictor = TiledPredictor(tile=tile, overlap=0.5, border=0, blending="constant")
    tiled = joined(predict_blocks(net, image, unit, predictor, spatial_dims=dims), *shape[1:])
    with torch.no_grad():
        whole = net(torch.from_numpy(unit(image))[None]).softmax(1)[0]
    difference = (tiled - whole).abs().amax(0)
    assert clean.any()
    assert difference[clean].max() < 1e-5
    assert difference[~clean].max() > 1e-4


@pytest.mark.parametrize("accumulate", ["device", "cpu"])
def test_a_mapped_file_that_cannot_be_written_is_read_as_it_is(tmp_path: Path, accumulate: str) -> None:
    image = unit(draw(1, 30, 20))
    np.save(tmp_path / "image.npy", image)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    net, predictor = network(2, channels=1), TiledPredictor(tile=16)
    blocks = predict_blocks(net, mapped, lambda part: part, predictor, 2, accumulate=accumulate)
    torch.testing.assert_close(joined(blocks, 30, 20), predictor(net, torch.from_numpy(image)[None])[0])


def test_progress_counts_the_tiles() -> None:
    seen = []
    predictor = TiledPredictor(tile=10, overlap=0.0, border=0, batch_size=4)
    blocks = predict_blocks(
        network(2), draw(2, 30, 20), unit, predictor, 2, progress=lambda *counts: seen.append(counts)
    )
    assert len(list(blocks)) == 6
    assert seen == [(4, 6), (6, 6)]


def mapped(path: Path, *shape: int) -> np.ndarray:
    image = np.memmap(path, np.uint8, "w+", shape=shape)
    image[:] = draw(*shape)
    image.flush()
    return np.memmap(path, np.uint8, "r", shape=shape)


def exhaust(net: object, image: np.ndarray, predictor: TiledPredictor, dims: int) -> None:
    """Make blocks and throw them away."""
    for _ in predict_blocks(net, image, unit, predictor, spatial_dims=dims):
        pass


def peak_of_tensors(*arguments: Any) -> int:
    with LiveTensors() as live:
        exhaust(*arguments)
    return live.peak


def peak_of_arrays(*arguments: Any) -> int:
    gc.collect()
    tracemalloc.start()
    exhaust(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    ("dims", "rest", "lengths"),
    [(2, (512,), (128, 1024)), (3, (32, 24), (60, 504)), pytest.param(2, (96, 80), (16, 64), marks=pytest.mark.slow)],
)
def test_memory_does_not_grow_with_the_first_axis(tmp_path: Path, dims: int, rest: tuple, lengths: tuple) -> None:
    tile = {1: 64, 2: 24}[len(rest)]
    net, predictor = network(dims, channels=1), TiledPredictor(tile=tile, overlap=0.5, batch_size=2)
    exhaust(net, draw(1, 8, *rest), predictor, dims)  # what Python makes once
    short, long = [(net, mapped(tmp_path / f"{length}", 1, length, *rest), predictor, dims) for length in lengths]
    assert peak_of_tensors(*long) == peak_of_tensors(*short)
    growth = peak_of_arrays(*long) - peak_of_arrays(*short)
    assert growth < 0.3 * (long[1].nbytes - short[1].nbytes)  # small objects of Python that wait to be freed


@pytest.mark.parametrize(("tile", "size"), [((16, 24), (300, 400)), ((16, 12, 8), (50, 60, 70))])
def test_memory_is_what_the_documentation_says(tmp_path: Path, tile: tuple, size: tuple) -> None:
    classes, batch, share = 3, 2, 0.25
    image = mapped(tmp_path / "image", 1, *size)
    predictor = TiledPredictor(tile=tile, overlap=share, border=0, batch_size=batch)
    found = peak_of_tensors(lambda tiles: tiles.expand(-1, classes, *tiles.shape[2:]), image, predictor, len(size))
    steps = [int(side * (1 - share)) for side in tile]
    last = [(length - side) % step or step for side, length, step in zip(tile, size, steps, strict=True)]
    most = [side - step for side, step in zip(tile, last, strict=True)]  # the last tile is shifted inward
    left = sum(math.prod([*tile[:axis], overlap, *size[axis + 1 :]]) for axis, overlap in enumerate(most))
    tiles = math.prod(tile) * (batch * (1 + 3 * classes) + 3 * (classes + 1))
    assert 4 * (classes + 1) * left < found < 4 * (classes + 1) * left + 4 * tiles


@pytest.mark.parametrize("shape", [(2, 41, 30), (2, 19, 8, 13)])
def test_overlaps_may_lie_in_files(tmp_path: Path, shape: tuple) -> None:
    image, net, predictor = draw(*shape), network(len(shape) - 1), TiledPredictor(tile=8, overlap=0.5, border=0)
    made = []

    def room(wanted: tuple[int, ...]) -> np.ndarray:
        made.append(np.memmap(tmp_path / f"{len(made)}", np.float32, "w+", shape=wanted))
        return made[-1]

    blocks = predict_blocks(net, image, unit, predictor, len(shape) - 1, room=room)
    expected = predictor(net, torch.from_numpy(unit(image))[None])[0]
    torch.testing.assert_close(joined(blocks, *shape[1:]), expected, rtol=0, atol=1e-6)
    first = made[-1]  # the overlap of layers or rows: sums of three classes and of the weights
    assert (len(made), len(first)) == (sum(side > 8 for side in shape[1:]), 4)  # where one tile is all, none is needed
    assert first.shape[2:] == shape[2:]
    assert first.any()


def test_an_ensemble_gives_mean_and_deviation() -> None:
    image, nets = draw(2, 30, 26), [network(2), network(2).double().float()]
    nn.init.normal_(nets[1][0].weight)
    ensemble = Ensemble(nets, views(), std=True)
    predictor = TiledPredictor(tile=16, border=0, overlap=0.0)
    mean, std = joined(predict_blocks(ensemble, image, unit, predictor, 2), 30, 26).chunk(2)
    tensor = torch.from_numpy(unit(image))[None]
    expected = predictor(Ensemble(nets, views()), tensor)[0]
    torch.testing.assert_close(mean, expected)
    torch.testing.assert_close(mean.sum(0), torch.ones(30, 26))
    assert std.min() > 0
    assert std.max() < 0.5


@pytest.mark.parametrize(
    ("shape", "arguments", "sentence"),
    [
        ((1, 9, 9), {"spatial_dims": 3}, r"image of shape \(1, 9, 9\): a network with spatial_dims=3 needs \(C, D"),
        ((9, 9), {"spatial_dims": 2}, r"image of shape \(9, 9\): .* needs \(C, H, W\), or"),
        ((1, 9, 0), {"spatial_dims": 2}, "must have at least 1 px"),
        ((1, 9, 9), {"spatial_dims": 1}, r"spatial_dims=1 is not one of \[2, 3\]"),
        ((1, 9, 9), {"spatial_dims": 2, "context": -1}, "context=-1 must be"),
        ((1, 9, 9), {"spatial_dims": 2, "accumulate": "gpu"}, "accumulate='gpu' is not one of"),
    ],
)
def test_refuses_what_does_not_go_together(shape: tuple, arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        next(predict_blocks(network(2), np.zeros(shape, np.uint8), unit, TiledPredictor(), **arguments))
