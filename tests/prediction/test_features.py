"""Features against the deepest maps themselves."""

import numpy as np
import pytest
import torch
from torch import nn

from segexp.data import Case
from segexp.inference import Ensemble
from segexp.models import UNet
from segexp.prediction import Segmenter, Settings
from segexp.prediction.features import DeepFeatures, deepest_module, features_of
from tests.prediction.models import make_model


def test_features_are_the_deepest_maps_averaged_over_tiles_and_networks():
    models = [make_model(seed, network={"depth": 2}) for seed in (0, 1)]
    image = np.random.default_rng(0).normal(size=(1, 16, 16)).astype(np.float32)
    segmenter = Segmenter(models, Settings(device="cpu"))
    features = features_of(Ensemble.of(segmenter.network).networks, segmenter.description)
    with features.watching():
        segmenter(Case("image", image, None, (1.0, 1.0), "px"))
    tile = torch.from_numpy((image - image.mean()) / image.std())[None]
    with torch.inference_mode():
        expected = torch.cat([model.network.encode(tile)[-1].mean((0, 2, 3)) for model in models])
    np.testing.assert_allclose(features.vector(), expected, atol=1e-4)
    with features.watching():  # anew: what was gathered before is forgotten
        segmenter(Case("image", image[:, ::-1].copy(), None, (1.0, 1.0), "px"))
    assert np.abs(features.vector() - expected.numpy()).max() > 1e-3


@pytest.mark.parametrize("settings", [{"squeeze_excitation": 4}, {"attention": True}, {"block": "residual"}])
def test_gates_are_no_deepest_level(settings):
    network = UNet(base_channels=8, depth=2, **settings).eval()
    sizes = []
    module = deepest_module(network, (1, 1, 32, 32))
    with DeepFeatures([network], [(32, 32)], 1).watching():
        handle = module.register_forward_hook(lambda _module, _inputs, output: sizes.append(output.shape))
        network(torch.zeros(1, 1, 32, 32))
        handle.remove()
    assert [tuple(size[2:]) for size in sizes] == [(8, 8)]


def test_without_maps_there_are_no_features():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(ValueError, match="Sequential has no module that gives maps"):
        deepest_module(flat, (1, 1, 4, 4))
    features = DeepFeatures([UNet(base_channels=2, depth=1).eval()], [(8, 8)], 1)
    with features.watching():
        pass
    with pytest.raises(ValueError, match="no network has predicted"):
        features.vector()
