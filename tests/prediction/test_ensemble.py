"""Models set up together: one, several, and such as do not go together."""

import numpy as np
import pytest
import torch
from torch import nn

from segexp.checkpoints import Model
from segexp.inference import Ensemble, TiledPredictor
from segexp.models import adapted, own_module
from segexp.prediction import Settings
from segexp.prediction.ensemble import averaged, device_of, predictor_of, require_same
from tests.prediction.models import ZSCORE, make_model
from tests.safety.corpus import model_description

CPU = torch.device("cpu")
WINDOW = {"rule": "Window", "low": 0.0, "high": 200.0}


def test_a_single_network_goes_without_an_ensemble():
    model, tiles = make_model(), torch.randn(2, 1, 16, 16)
    network, rules = averaged([model], Settings(uncertainty=True), CPU)
    assert isinstance(network, nn.Module)
    assert [rule.description() for rule in rules] == [ZSCORE]
    with torch.no_grad():
        torch.testing.assert_close(network(tiles), model.network(tiles), rtol=1e-4, atol=1e-5)


def test_a_network_that_lacks_a_margin_tells_so():
    model = make_model(network={"padding": "valid", "alignment": "crop"})
    other = make_model(intensity=WINDOW)
    ensemble, _ = averaged([model, other], Settings(), CPU)
    assert isinstance(ensemble, Ensemble)
    assert ensemble.margins(2) == (model.network.margin,) * 2 == (8, 8)


def test_each_network_sees_tiles_under_its_own_intensity_rule():
    models = [make_model(seed, intensity=rule) for seed, rule in enumerate((ZSCORE, WINDOW, ZSCORE))]
    ensemble, rules = averaged(models, Settings(uncertainty=True), CPU)
    assert [rule.description() for rule in rules] == [ZSCORE, WINDOW]
    tiles = torch.randn(2, 2, 16, 16)  # a channel under each rule
    with torch.no_grad():
        mean, std = ensemble.average_probabilities(tiles).chunk(2, dim=1)
        each = [model.network(tiles[:, [place]]).softmax(1) for model, place in zip(models, (0, 1, 0), strict=True)]
    np.testing.assert_allclose(mean, np.mean(each, axis=0), atol=1e-5)
    np.testing.assert_allclose(std, np.std(each, axis=0), atol=1e-5)


class Looking(nn.Module):
    """Uses a layer in a way of its own, which a copy made for prediction does not know."""

    def __init__(self, use):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
        self.use = use

    def forward(self, image):
        return self.use(self.layers, image)


@pytest.mark.parametrize(
    "use",
    [
        lambda layers, image: layers(image),
        lambda layers, image: layers[2](layers[0](image)),  # the norm is left out, and would be in the convolution
        lambda layers, image: layers(image) * layers[0].kernel_size[0],  # which the fast convolution does not have
    ],
)
def test_a_network_of_others_predicts_what_it_gives_whatever_it_does_with_its_layers(use):
    network = adapted(Looking(use), 1, 2, (16, 16))
    with torch.no_grad():
        own_module(network).layers[1].running_var.fill_(0.1)
    model = Model(network.eval(), model_description())
    fast, _ = averaged([model], Settings(), CPU)
    image = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        np.testing.assert_allclose(fast(image), network(image), atol=1e-4)


@pytest.mark.parametrize(("tta", "views"), [("flips", 4), ("turns", 8)])
def test_one_network_of_several_views_is_an_ensemble(tta, views):
    ensemble, _ = averaged([make_model()], Settings(tta=tta), CPU)
    assert (len(ensemble.networks), len(ensemble.views), ensemble.std) == (1, views, False)


def test_tiles_are_those_of_the_training_unless_the_settings_say_otherwise():
    description = model_description()
    assert predictor_of(description, Settings()) == TiledPredictor([16, 16], 0.25, "auto", "gaussian", 4, "softmax")
    settings = Settings(
        tile=32, overlap=0.5, border=3, blending="constant", batch_size=1, sigma=0.2, padding_mode="constant"
    )
    assert predictor_of(description, settings) == TiledPredictor(32, 0.5, 3, "constant", 1, "softmax", 0.2, "constant")
    assert predictor_of(description, Settings(tile="whole")).tile is None
    assert predictor_of(description, Settings(overlap=0.0)).overlap == 0
    with pytest.raises(ValueError, match=r"tile='half' is not one of \['whole'\]"):
        predictor_of(description, Settings(tile="half"))


def test_devices_are_found_by_name():
    assert device_of("cpu") == CPU
    assert device_of("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match="device=tpu7 cannot be used here .*: take auto, or cpu"):
        device_of("tpu7")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"channels": 3}, "model 2 has channels=3 and model 1 has 1"),
        ({"context": 1}, "model 2 has context=1 and model 1 has 0"),
        ({"spacing": [1.0, 1.0]}, r"model 2 works at spacing=\[1.0, 1.0\] and model 1 at None"),
    ],
)
def test_models_that_differ_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        require_same([model_description(), model_description(**changes)])


def test_spacings_may_differ_by_a_rounding_and_there_must_be_a_model():
    require_same([model_description(spacing=[1.0, 0.5]), model_description(spacing=[1.0, 0.5004])])
    with pytest.raises(ValueError, match=r"model 2 works at spacing=\[1.0, 0.51\]"):
        require_same([model_description(spacing=[1.0, 0.5]), model_description(spacing=[1.0, 0.51])])
    with pytest.raises(ValueError, match="there is no model: give at least one"):
        require_same([])
