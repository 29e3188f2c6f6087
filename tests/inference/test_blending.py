"""Windows against scipy, weighted means by hand and against sums over the whole image."""

import math

import numpy as np
import pytest
import torch
from scipy.signal.windows import gaussian
from torch import Tensor

from segexp.inference.blending import WINDOWS, Blend, gaussian_window
from segexp.inference.layout import Layout

CPU = torch.device("cpu")
LAYOUTS = [
    ((21,), (8,), 0.5, 0),
    ((13, 30), (6, 11), 0.4, "auto"),
    ((9, 12, 7), (4, 5, 7), 0.6, 0),
    ((9, 12), (16, 5), 0.25, 3),
]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def plan(sizes: tuple, sides: tuple, overlap: float, border: object) -> Layout:
    return Layout.plan(sizes, sides, overlap, border, (0,) * len(sizes))


@pytest.mark.parametrize("sides", [(16,), (9, 24), (5, 8, 12)])
def test_the_gaussian_window_is_that_of_scipy_with_a_floor(sides: tuple) -> None:
    lines = [gaussian(side, side / 8) for side in sides]
    expected = np.maximum(math.prod(np.ix_(*lines)), 1e-3)
    np.testing.assert_allclose(gaussian_window(sides), expected, rtol=1e-5)
    assert gaussian_window(sides).min() == pytest.approx(1e-3)  # the corners lie 4 sigma away


def test_a_sigma_per_axis_is_that_of_scipy() -> None:
    expected = np.outer(gaussian(20, 5), gaussian(12, 6))
    np.testing.assert_allclose(gaussian_window((20, 12), [0.25, 0.5]), np.maximum(expected, 1e-3), rtol=1e-5)


def test_where_two_tiles_overlap_their_values_are_averaged() -> None:
    layout = plan((6,), (4,), 0.5, 0)
    blend = Blend(layout, "constant", CPU)
    first, second = (spans for _, spans in layout.places(1))
    px, means = blend.means(first, torch.zeros(1, 4))
    assert (px, means.tolist()) == ((slice(0, 2),), [[0, 0]])  # px 2 and 3 wait for the second tile
    px, means = blend.means(second, torch.ones(1, 4))
    assert (px, means.tolist()) == ((slice(2, 6),), [[0.5, 0.5, 1, 1]])


def by_whole_sums(layout: Layout, blending: str, outputs: list[Tensor]) -> Tensor:
    """Weighted means from sums over the whole image, as float64."""
    window = WINDOWS[blending](layout.output).double()
    sums = torch.zeros(len(outputs[0]), *layout.sizes, dtype=torch.float64)
    weights = torch.zeros(layout.sizes, dtype=torch.float64)
    for (_, spans), output in zip(layout.places(1), outputs, strict=True):
        px = tuple(span.px for span in spans)
        inside = tuple(span.inside for span in spans)
        sums[(slice(None), *px)] += (output * window)[(slice(None), *inside)]
        weights[px] += window[inside]
    return (sums / weights).float()


@pytest.mark.parametrize("blending", ["constant", "gaussian"])
@pytest.mark.parametrize("arguments", LAYOUTS, ids=str)
def test_means_are_those_of_sums_over_the_whole_image(arguments: tuple, blending: str) -> None:
    layout = plan(*arguments)
    places = list(layout.places(1))
    outputs = [draw(3, *layout.output, seed=seed) for seed in range(len(places))]
    expected = by_whole_sums(layout, blending, outputs)
    blend, adding = Blend(layout, blending, CPU), Blend(layout, blending, CPU)
    whole, covered = torch.full((3, *layout.sizes), torch.nan), torch.zeros(layout.sizes, dtype=torch.int64)
    added = torch.zeros(3, *layout.sizes)
    for (_, spans), output in zip(places, outputs, strict=True):
        px, means = blend.means(spans, output)
        whole[(slice(None), *px)] = means
        covered[px] += 1
        adding.add(added, spans, output)
    assert (covered == 1).all()
    torch.testing.assert_close(whole, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(added, expected, rtol=0, atol=1e-6)


def test_images_follow_one_another_without_a_trace() -> None:
    layout = plan((13, 12), (6, 5), 0.5, 0)
    blend = Blend(layout, "gaussian", CPU)
    blocks: dict[int, list[Tensor]] = {0: [], 1: []}
    for sample in (0, 1):
        for seed, (_, spans) in enumerate(layout.places(1)):
            blocks[sample].append(blend.means(spans, draw(2, *layout.output, seed=seed) + sample)[1])
    for first, second in zip(blocks[0], blocks[1], strict=True):
        torch.testing.assert_close(second, first + 1)


def test_a_single_tile_weighs_all_pixels_alike_and_keeps_nothing() -> None:
    layout = plan((5, 6), (8, None), 0.5, 0)
    blend = Blend(layout, "gaussian", CPU, make=lambda shape: pytest.fail(f"a tensor of {shape} was made"))
    output = draw(2, *layout.output)
    ((_, spans),) = layout.places(1)
    px, means = blend.means(spans, output)
    assert px == (slice(0, 5), slice(0, 6))
    assert torch.equal(means, output[:, 1:6])  # of 8 px, one lies before the image and two behind it
    assert (blend.window == 1).all()


def test_overlaps_alone_are_kept() -> None:
    made: list[tuple[int, ...]] = []

    def make(shape: tuple[int, ...]) -> Tensor:
        made.append(shape)
        return torch.empty(shape)

    layout = plan((9, 20), (6, 8), 0.5, 0)  # the last of the tiles overlaps by 3 of 6 rows, others by 4 of 8 columns
    blend = Blend(layout, "gaussian", CPU, make)
    for _, spans in layout.places(1):
        blend.means(spans, draw(2, *layout.output))
    assert sorted(made) == [(3, 3, 20), (3, 6, 4)]  # two classes and the weights
