"""Positions of tiles by hand, and their pixels against numpy's mirroring."""

import numpy as np
import pytest
import torch
from torch import Tensor

from segexp.inference.layout import Layout, Ranges, Span


def plan(sizes: tuple, sides: tuple, overlap: float = 0.5, border: int | str = 0, margins: tuple = (0,)) -> Layout:
    return Layout.plan(sizes, sides, overlap, border, margins * (len(sizes) // len(margins)))


def test_tiles_along_an_axis_know_what_their_neighbors_cover() -> None:
    (spans,) = plan((9,), (4,)).axes
    assert spans == (
        Span(slice(0, 4), None, slice(0, 4), slice(0, 4), earlier=0, later=2),
        Span(slice(2, 6), None, slice(2, 6), slice(0, 4), earlier=4, later=4),
        Span(slice(4, 8), None, slice(4, 8), slice(0, 4), earlier=6, later=5),
        Span(slice(5, 9), None, slice(5, 9), slice(0, 4), earlier=8, later=9),  # shifted inward, from px 6 on
    )


def test_the_output_of_a_tile_larger_than_the_image_lies_around_it() -> None:
    (span,) = plan((3,), (8,)).axes[0]
    assert span.source == slice(0, 3)
    assert span.mirrored.tolist() == [2, 1, 0, 1, 2, 1, 0, 1]  # two px before the image and three behind it
    assert (span.px, span.inside) == (slice(0, 3), slice(2, 5))
    assert (span.earlier, span.later) == (0, 3)


def test_a_margin_sets_tiles_a_whole_output_apart() -> None:
    layout = plan((10,), (8,), overlap=0.9, border=3, margins=(2,))
    assert layout.output == (4,)
    assert [span.px for span in layout.axes[0]] == [slice(0, 4), slice(4, 8), slice(6, 10)]  # the last shifted inward
    assert [span.source for span in layout.axes[0]] == [slice(0, 6), slice(2, 10), slice(4, 10)]
    assert layout.axes[0][0].mirrored.tolist() == [2, 1, 0, 1, 2, 3, 4, 5]
    assert layout.axes[0][1].mirrored is None


@pytest.mark.parametrize(
    ("size", "side", "border", "before"),
    [(20, 8, "auto", 2), (20, 8, 5, 5), (8, 8, "auto", 0), (5, None, "auto", 0), (5, None, 3, 3)],
)
def test_the_border_is_half_the_overlap_where_several_tiles_lie(size: int, side: int, border: object, before: int):
    first = plan((size,), (side,), 0.5, border).axes[0][0]
    assert first.inside.start == before


@pytest.mark.parametrize("margin", [0, 2])
@pytest.mark.parametrize("border", ["auto", 0, 7])
@pytest.mark.parametrize(("sizes", "sides"), [((13,), (6,)), ((7, 22), (9, 5)), ((5, 6, 9), (5, None, 7))])
def test_a_tile_is_cut_from_the_image_mirrored_by_numpy(sizes: tuple, sides: tuple, border: object, margin: int):
    image = torch.randn(2, 3, *sizes, generator=torch.Generator().manual_seed(0))
    asked: list[tuple[int, Ranges]] = []

    def read(sample: int, px: Ranges) -> Tensor:
        asked.append((sample, px))
        return image[sample][(slice(None), *px)]

    layout = plan(sizes, sides, 0.4, border, (margin,))
    beyond = 40
    mirrored = np.pad(image.numpy(), [(0, 0), (0, 0), *[(beyond, beyond)] * len(sizes)], mode="reflect")
    covered = np.zeros((2, *sizes), int)
    for sample, spans in layout.places(2):
        tile = layout.cut((sample, spans), read)
        first = [span.px.start - span.inside.start - margin + beyond for span in spans]
        window = [slice(start, start + out + 2 * margin) for start, out in zip(first, layout.output, strict=True)]
        np.testing.assert_array_equal(tile, mirrored[(sample, slice(None), *window)])
        covered[(sample, *(span.px for span in spans))] += 1
    assert covered.min() >= 1
    assert all(0 <= px.start < px.stop <= size for _, ranges in asked for px, size in zip(ranges, sizes, strict=True))


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("border", [0, 4])
def test_what_neighbors_cover_follows_from_their_px(overlap: float, border: int) -> None:
    layout = plan((29,), (8,), overlap, border)
    spans = layout.axes[0]
    covered = [set(range(span.px.start, span.px.stop)) for span in spans]
    for index, span in enumerate(spans):
        earlier = set().union(*covered[:index])
        later = set().union(*covered[index + 1 :])
        assert span.earlier == max(earlier, default=-1) + 1
        assert span.later == min(later, default=29)
    assert layout.overlap(0) == max(len(one & set().union(*covered[index + 1 :])) for index, one in enumerate(covered))


def test_places_go_image_by_image_the_first_axis_slowest() -> None:
    places = [(sample, *(span.px.start for span in spans)) for sample, spans in plan((4, 6), (2, 3), 0.0).places(2)]
    assert places == [(sample, row, column) for sample in (0, 1) for row in (0, 2) for column in (0, 3)]


def test_a_tile_within_the_margins_is_refused() -> None:
    assert plan((9,), (5,), margins=(2,)).output == (1,)
    with pytest.raises(ValueError, match="tile=4 must be larger than twice the margin .* 2 px .* more than 4 px"):
        plan((9,), (4,), margins=(2,))
