"""Averaging over views: networks that it leaves alone, and means by hand."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segexp.inference import FlipTurnPredictor, TiledPredictor
from segexp.inference.probabilities import ACTIVATIONS
from segexp.inference.views import UNTURNED, WORDS, apply_view, require_seen, undo_view, views, views_of


@pytest.fixture(autouse=True)
def keep_activation(monkeypatch: pytest.MonkeyPatch) -> None:
    """An activation that leaves the values alone."""
    monkeypatch.setitem(ACTIVATIONS, "keep", lambda logits: logits)


def averaged(network: object, image: Tensor, flips: bool = True, turns: bool = True) -> Tensor:
    """Average what the network makes of the whole image."""
    return FlipTurnPredictor(TiledPredictor(activation="keep"), flips, turns)(network, image)


def ramp(image: Tensor) -> Tensor:
    """Depends on the place alone, not on the image: px (i, j) of any view is i + 10 j."""
    rows, columns = (torch.arange(float(size)) for size in image.shape[-2:])
    return (rows[:, None] + 10 * columns).expand_as(image)


@pytest.mark.parametrize("shape", [(2, 1, 12, 17), (1, 1, 4, 6, 9)])
def test_leaves_an_equivariant_network_alone(shape: tuple) -> None:
    conv = {4: nn.Conv2d, 5: nn.Conv3d}[len(shape)](1, 2, 3, padding=1)
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, -5.0, 2.0], [1.0, 2.0, 1.0]])
    with torch.no_grad():
        conv.weight.copy_(
            (kernel if len(shape) == 4 else torch.stack([kernel, 2 * kernel, -kernel])).expand_as(conv.weight)
        )
        conv.weight[1] *= -1
    image = torch.randn(shape)
    predictor = TiledPredictor()
    torch.testing.assert_close(FlipTurnPredictor(predictor)(conv, image), predictor(conv, image))


@pytest.mark.parametrize(
    ("flips", "turns", "expected"),
    [
        (False, False, [[0, 10, 20], [1, 11, 21]]),
        (True, False, np.full((2, 3), 10.5)),  # rows average to 0.5, columns to 10 * 1
        (False, True, np.full((2, 3), (10.5 + 6.0) / 2)),  # turned: rows average to 1, columns to 10 * 0.5
        (True, True, np.full((2, 3), (10.5 + 6.0) / 2)),
    ],
)
def test_averages_over_the_views(flips: bool, turns: bool, expected: object) -> None:
    result = averaged(ramp, torch.zeros(1, 1, 2, 3), flips, turns)
    np.testing.assert_allclose(result[0, 0], expected)


@pytest.mark.parametrize(
    ("flips", "turns", "count"), [(False, False, 1), (True, False, 4), (False, True, 4), (True, True, 8)]
)
def test_every_view_is_predicted_once_and_undone(flips: bool, turns: bool, count: int) -> None:
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    seen = []

    def network(view: Tensor) -> Tensor:
        seen.append(tuple(view.shape[2:]) + tuple(view.flatten().tolist()))
        return view

    result = averaged(network, image, flips, turns)
    torch.testing.assert_close(result, image)
    turned = [np.rot90(image[0, 0].numpy(), k) for k in (range(4) if turns else (0, 2) if flips else (0,))]
    views = [*turned, *(map(np.fliplr, turned) if flips else ())]
    assert len(set(seen)) == len(seen) == count
    assert set(seen) == {view.shape + tuple(view.flatten()) for view in views}


def test_turns_volumes_in_the_plane_alone() -> None:
    depths = torch.arange(4.0).reshape(1, 1, 4, 1, 1).expand(1, 1, 4, 2, 3)
    shapes = set()

    def network(view: Tensor) -> Tensor:
        shapes.add(tuple(view.shape[2:]))
        return torch.arange(4.0).reshape(1, 1, 4, 1, 1).expand_as(view)

    torch.testing.assert_close(averaged(network, torch.zeros(1, 1, 4, 2, 3)), depths)
    assert shapes == {(4, 2, 3), (4, 3, 2)}


def test_goes_with_tiles_of_an_image_that_is_not_square() -> None:
    network = nn.Conv2d(1, 3, 1)
    image = torch.randn(2, 1, 20, 33)
    predictor = TiledPredictor(tile=8)
    torch.testing.assert_close(FlipTurnPredictor(predictor)(network, image), predictor(network, image))


def test_refuses_images_without_a_plane() -> None:
    with pytest.raises(ValueError, match=r"image of shape \(1, 2, 9\) has no plane to flip or turn"):
        averaged(ramp, torch.zeros(1, 2, 9))


ALL = views_of(WORDS)
VOLUME = torch.arange(5 * 3 * 3.0).reshape(1, 1, 5, 3, 3)


def test_words_are_the_moves_that_they_name() -> None:
    array = VOLUME[0, 0].numpy()
    expected = {
        "flip_z": array[::-1],
        "flip_y": array[:, ::-1],
        "flip_x": array[:, :, ::-1],
        "half_turn": array[:, ::-1, ::-1],
        "quarter_turn": np.rot90(array, 1, (1, 2)),
        "transpose": array.swapaxes(1, 2),
    }
    assert set(expected) == set(WORDS)
    for word, moved in expected.items():
        np.testing.assert_array_equal(apply_view(VOLUME, WORDS[word])[0, 0], moved)
        assert str(WORDS[word]) == word


def test_all_views_of_a_volume_differ_and_are_undone() -> None:
    assert len(ALL) == 16
    assert len({apply_view(VOLUME, view).numpy().tobytes() for view in ALL}) == 16
    assert len({str(view) for view in ALL}) == 16
    for view in ALL:
        assert torch.equal(undo_view(apply_view(VOLUME, view), view), VOLUME)


def test_one_view_after_the_other_is_the_view_that_is_told() -> None:
    for first, second in itertools.product(ALL, ALL):
        moved = apply_view(apply_view(VOLUME, first), second)
        assert torch.equal(moved, apply_view(VOLUME, first.then(second)))


@pytest.mark.parametrize(
    ("flips", "turns", "count"),
    [
        (["x"], False, 2),
        (["z"], False, 2),
        (["z", "y", "x"], False, 8),
        (["x"], True, 8),
        (["z"], True, 8),
        ([], True, 4),
    ],
)
def test_flips_of_any_axes_make_as_many_views_as_there_are(flips: list[str], turns: bool, count: int) -> None:
    found = views(flips, turns)
    assert (found[0], len(found), len(set(found))) == (UNTURNED, count, count)
    if not turns:
        axes = [("z", "y", "x").index(axis) - 3 for axis in flips]
        chosen = [subset for n in range(len(axes) + 1) for subset in itertools.combinations(axes, n)]
        expected = {VOLUME.flip(subset).numpy().tobytes() for subset in chosen}
        assert {apply_view(VOLUME, view).numpy().tobytes() for view in found} == expected


def test_what_was_not_seen_is_refused_with_what_was() -> None:
    require_seen(views(["x"], False), ["flip_x", "flip_y"], "tta", "")
    require_seen(views(True, False), ["flip_y", "quarter_turn"], "tta", "")  # turned, a flip is one of the other axis
    message = (
        r"^tta=flips averages over views .* never showed to the network: half_turn, flip_y \(it showed flip_x\); do"
    )
    with pytest.raises(ValueError, match=message):
        require_seen(views(True, False), ["flip_x"], "tta=flips", "do this")
    with pytest.raises(ValueError, match=r"flip_x with flip_z, .*\(it showed no flips and turns\)"):
        require_seen(ALL, [], "tta", "")


def test_flips_along_axes_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="an axis of flips='w' is not one of"):
        views(["w"])
    with pytest.raises(ValueError, match="a view='flipx' is not one of .*did you mean 'flip_x'"):
        views_of(["flipx"])
    with pytest.raises(ValueError, match=r"image of shape \(1, 1, 4, 4\) has no axis z to flip"):
        apply_view(torch.zeros(1, 1, 4, 4), WORDS["flip_z"])
