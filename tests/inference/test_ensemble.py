"""Ensembles against numpy and scipy over their stacked predictions."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segexp.inference import Ensemble, FlipTurnPredictor, TiledPredictor, views
from segexp.models import UNet


def predict_tiled(network: object, image: Tensor, tile: int | None = None) -> Tensor:
    return TiledPredictor(tile)(network, image)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def networks(count: int = 3, dims: int = 2, **settings: object) -> list[nn.Module]:
    torch.manual_seed(0)
    made = [UNet(1, 3, spatial_dims=dims, base_channels=4, depth=1 + k % 2, **settings) for k in range(count)]
    return [net.eval() for net in made]


def stacked(nets: list[nn.Module], tiles: Tensor, flips: bool, turns: bool) -> np.ndarray:
    """Probabilities of each network on each view, turned with numpy."""
    found = []
    for net in nets:
        for mirrored in (False, True) if flips else (False,):
            for quarter in range(4) if turns else (0, 2) if flips else (0,):
                view = np.rot90(tiles.numpy(), quarter, (-2, -1))
                view = view[..., ::-1] if mirrored else view
                with torch.no_grad():
                    probs = net(torch.from_numpy(view.copy())).softmax(1).numpy()
                found.append(np.rot90(probs[..., ::-1] if mirrored else probs, -quarter, (-2, -1)))
    return np.stack(found)


@pytest.mark.parametrize("shape", [(2, 1, 16, 16), (1, 1, 8, 20), (1, 1, 8, 8, 12)])
@pytest.mark.parametrize(("flips", "turns"), [(False, False), (True, False), (False, True), (True, True)])
def test_mean_and_deviation_of_all_members(shape: tuple, flips: bool, turns: bool) -> None:
    nets, tiles = networks(dims=len(shape) - 2), draw(*shape)
    with torch.inference_mode():
        both = Ensemble(nets, views(flips, turns), std=True).average_probabilities(tiles)
        means, deviations = both.chunk(2, dim=1)
        alone = Ensemble(nets, views(flips, turns)).average_probabilities(tiles)
    expected = stacked(nets, tiles, flips, turns)
    np.testing.assert_allclose(means, expected.mean(0), atol=1e-6)
    np.testing.assert_allclose(deviations, expected.std(0), atol=1e-6)
    torch.testing.assert_close(alone, means)


def test_one_member_is_its_network_and_has_no_deviation() -> None:
    net, image = networks(1)[0], draw(2, 1, 40, 30)
    plain = predict_tiled(net, image, 16)
    assert torch.equal(predict_tiled(Ensemble([net]), image, 16), plain)
    mean, std = predict_tiled(Ensemble([net], std=True), image, 16).chunk(2, dim=1)
    torch.testing.assert_close(mean, plain)
    assert not std.any()


def test_views_of_one_tile_are_views_of_the_image() -> None:
    net, image = networks(1)[0], draw(1, 1, 24, 32)
    turned = FlipTurnPredictor(TiledPredictor())(net, image)
    torch.testing.assert_close(predict_tiled(Ensemble([net], views()), image), turned, rtol=0, atol=1e-6)


def test_ensemble_of_regions() -> None:
    nets, image = networks(2), draw(1, 1, 16, 16)
    probs = TiledPredictor(activation="sigmoid")(Ensemble(nets), image)
    with torch.no_grad():
        expected = torch.stack([net(image).sigmoid() for net in nets]).mean(0)
    torch.testing.assert_close(probs, expected)


def test_networks_of_valid_and_same_convolutions_meet_in_the_center() -> None:
    torch.manual_seed(0)
    nets = [nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, (7, 3)), nn.Conv2d(1, 2, 3, padding=1)]
    nets[0].margin, nets[1].margin = 1, (3, 1)
    image = draw(1, 1, 37, 29)
    probs = predict_tiled(Ensemble(nets, std=True), image, 16)
    around = torch.nn.functional.pad(image, (1, 1, 3, 3), mode="reflect")
    with torch.no_grad():
        outputs = [nets[0](around)[:, :, 2:-2], nets[1](around), nets[2](around)[:, :, 3:-3, 1:-1]]
    each = torch.stack([output.softmax(1) for output in outputs])
    torch.testing.assert_close(probs, torch.cat([each.mean(0), each.std(0, correction=0)], 1), rtol=0, atol=1e-6)


def test_refuses_networks_of_other_classes() -> None:
    nets = [nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1)]
    with pytest.raises(ValueError, match="network 2 of the ensemble gives 3 classes and network 1 gives 2"):
        predict_tiled(Ensemble(nets), draw(1, 1, 8, 8))


def test_refuses_an_empty_ensemble() -> None:
    with pytest.raises(ValueError, match="0 networks and 1 views"):
        Ensemble([])
    with pytest.raises(ValueError, match="1 networks and 0 views"):
        Ensemble([nn.Identity()], views=[])


def test_views_are_those_that_the_training_showed_or_are_refused() -> None:
    predictor = TiledPredictor()
    assert FlipTurnPredictor(predictor, None, None, seen=["flip_x"]).views == views(["x"], False)
    assert FlipTurnPredictor(predictor, None, None, seen=[]).views == views(False, False)
    assert FlipTurnPredictor(predictor, None, False, seen=["flip_x", "quarter_turn"]).views == views(["x"], False)
    assert FlipTurnPredictor(predictor, ["z"], False, seen=["flip_z"]).views == views(["z"], False)
    with pytest.raises(
        ValueError, match=r"inference.averaging \(flips=True, turns=True\) .*it showed flip_y, flip_x\); take"
    ):
        FlipTurnPredictor(predictor, seen=["flip_y", "flip_x"])
    assert len(FlipTurnPredictor(predictor, allow_unseen_views=True, seen=[]).views) == 8
    with pytest.raises(ValueError, match="which these are is not known"):
        FlipTurnPredictor(predictor, None)


def test_a_flip_along_the_slices_is_that_of_the_volume() -> None:
    net, volume = nn.Conv3d(1, 2, 3, padding=1), draw(1, 1, 6, 8, 8)
    averaged = FlipTurnPredictor(TiledPredictor(), ["z"], False)(net, volume)
    plain = [net(volume).softmax(1), net(volume.flip(2)).softmax(1).flip(2)]
    torch.testing.assert_close(averaged, torch.stack(plain).mean(0).detach())


def test_refuses_views_without_a_plane() -> None:
    with pytest.raises(ValueError, match=r"image of shape \(1, 1, 9\) has no plane"):
        predict_tiled(Ensemble([nn.Conv1d(1, 2, 1)], views()), draw(1, 1, 9))


def test_pairs_follow_means_and_deviations_and_one_member_has_none() -> None:
    nets, image = networks(2), draw(1, 1, 20, 20)
    plain = predict_tiled(Ensemble(nets, std=True), image, 16)
    found = predict_tiled(Ensemble(nets, std=True, pairs=True), image, 16)
    torch.testing.assert_close(found[:, :6], plain)
    assert found.shape[1] == 6 + 4
    assert torch.equal(predict_tiled(Ensemble(nets[:1], pairs=True), image, 16), predict_tiled(nets[0], image, 16))
    assert FlipTurnPredictor(TiledPredictor(None))(Ensemble(nets, pairs=True), image).shape[1] == 3 + 4
