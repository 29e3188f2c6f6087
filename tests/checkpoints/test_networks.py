"""Classes that are none of ours: named by a file, built only where the user vouches for them."""

import pytest
import torch
from torch import nn

from segexp.checkpoints import open_model
from segexp.checkpoints.networks import name_and_arguments
from segexp.models import Adapted, UNet, adapted, own_module
from segexp.runs.ownership import sign_network
from tests.safety.corpus import checkpoint, description, saved

BUILT = []


class Net(nn.Module):
    def __init__(self, channels=4, parts=(), act=None):
        super().__init__()
        BUILT.append(channels)
        self.layers = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), act or nn.ReLU(), nn.Conv2d(channels, 2, 1))
        self.parts = nn.ModuleList(parts)

    def forward(self, image):
        return self.layers(image)


NAME = f"{__name__}.Net"
NESTED = {"channels": 3, "parts": [{"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 1}]}


@pytest.fixture(autouse=True)
def nothing_is_built():
    BUILT.clear()


def written(path, name=NAME, model=None, signature=None, network=None):
    """A checkpoint of a network of `name`; its weights are those of `network`."""
    made = network or adapted(Net(**(model or {})), 1, 2, (16, 16))
    BUILT.clear()
    told = description(network=name, model=model or {}, signature=signature)
    state = {f"network.{key}": value for key, value in made.state_dict().items()}
    return saved(path / "a.ckpt", checkpoint(told) | {"state_dict": state}), made.eval()


def same(model, made):
    image = torch.randn(1, 1, 19, 23)
    with torch.no_grad():
        return torch.equal(model.network(image), made(image))


def test_nobody_vouches_and_nothing_is_imported(tmp_path):
    path, _ = written(tmp_path, "not_there.Net", network=adapted(Net(), 1, 2, (16, 16)))
    with pytest.raises(
        ValueError, match=r"a\.ckpt: its network is of 'not_there.Net', .*--config-dir.*--trust.*network="
    ):
        open_model(path)
    path, _ = written(tmp_path)
    for trust in (False, (), {"other.Net"}):
        with pytest.raises(ValueError, match="which is no class of segexp"):
            open_model(path, trust=trust)
    assert not BUILT


@pytest.mark.parametrize("trust", [True, {NAME}])
def test_what_is_trusted_comes_back(tmp_path, trust):
    path, made = written(tmp_path, model={"channels": 3})
    model = open_model(path, trust=trust)
    assert isinstance(model.network, Adapted)
    assert same(model, made)


def test_every_class_within_must_be_vouched_for(tmp_path):
    arguments = {"channels": 3, "act": {"_target_": "torch.nn.ELU"}}
    path, made = written(tmp_path, model=arguments, network=adapted(Net(3, act=nn.ELU()), 1, 2, (16, 16)))
    with pytest.raises(ValueError, match="'torch.nn.ELU', which is no class"):
        open_model(path, trust={NAME})
    assert not BUILT
    assert same(open_model(path, trust={NAME, "torch.nn.ELU"}), made)


def test_ones_own_network_needs_no_word_until_class_or_arguments_are_changed(tmp_path):
    arguments = {"channels": 3}
    path, made = written(tmp_path, model=arguments, signature=sign_network(NAME, arguments))
    assert same(open_model(path), made)
    path, _ = written(tmp_path, model={"channels": 4}, signature=sign_network(NAME, arguments))
    with pytest.raises(ValueError, match="no class of segexp"):
        open_model(path)


@pytest.mark.parametrize("given", [lambda: Net, lambda: Net(3), lambda: lambda channels: Net(channels)])
def test_a_class_a_function_or_a_module_is_given(tmp_path, given):
    path, made = written(tmp_path, "gone.Net", {"channels": 3}, network=adapted(Net(3), 1, 2, (16, 16)))
    assert same(open_model(path, network=given()), made)


def test_tensors_are_compared_before_they_are_loaded(tmp_path):
    path, _ = written(tmp_path, model={"channels": 3})
    with pytest.raises(ValueError, match="asks for a tensor 'layers"):
        open_model(path, network=Net(5))


def test_what_cannot_be_imported_is_named(tmp_path):
    for name, message in (
        ("not_there.Net", "no module 'not_there' among the installed ones, in the working directory"),
        (f"{__name__}.Other", "has no 'Other'"),
    ):
        path, _ = written(tmp_path, name, network=adapted(Net(), 1, 2, (16, 16)))
        with pytest.raises(ImportError, match=message):
            open_model(path, trust=True)


@pytest.mark.parametrize(
    "arguments", [{"a": {1: 2}}, {"a": object}, {"a": "x\n"}, {"a": [[[[[[[[[1]]]]]]]]]}, {"a": float("nan")}, {"": 1}]
)
def test_arguments_are_small_plain_values(tmp_path, arguments):
    told = description(network=NAME, model=arguments)
    if arguments == {"a": object}:
        told["model"] = {"a": torch.zeros(1)}
    with pytest.raises(ValueError, match="model"):
        open_model(saved(tmp_path / "a.ckpt", checkpoint(told)), trust=True)


def test_a_name_stands_for_ours_and_a_path_for_all_others():
    ours = UNet(base_channels=2, depth=1)
    assert name_and_arguments(ours, {"_target_": "segexp.models.UNet"}) == ("UNet", ours.config)
    other = adapted(Net(), 1, 2, (16, 16))
    assert name_and_arguments(other, {"_target_": NAME, **NESTED}) == (NAME, NESTED)
    assert type(own_module(other)) is Net
