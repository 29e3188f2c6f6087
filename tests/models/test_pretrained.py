"""Encoders of segmentation_models_pytorch. torchvision, which it needs, cannot stand beside the pinned torch: these
tests run in an environment of their own (see docs/networks.md)."""

import subprocess
import sys

import pytest
import torch

from segexp.models import PretrainedUNet
from segexp.models.pretrained import DECODERS
from tests.models.page import page_row, row

LIGHT = {"encoder": "mobilenet_v2", "weights": None, "base_channels": 4}


@pytest.fixture
def smp():
    return pytest.importorskip(
        "segmentation_models_pytorch", reason="segmentation_models_pytorch is not installed", exc_type=ImportError
    )


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("depth", [3, 4, 5])
def test_one_step_at_any_size(smp, decoder, depth):
    network = PretrainedUNet(2, 3, decoder=decoder, depth=depth, **LIGHT)
    for size in ((33, 70), (1, 1), (64, 32)):
        logits = network(torch.randn(2, 2, *size))
        assert logits.shape == (2, 3, *size)
    logits.square().mean().backward()
    assert network.training
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trained == {name for name, p in network.named_parameters() if p.grad is not None}
    assert (len(trained) == len(list(network.parameters()))) == (depth == 5)


@pytest.mark.parametrize("decoder", DECODERS)
def test_padded_sizes_agree_with_smp_itself(smp, decoder):
    network = PretrainedUNet(decoder=decoder, **LIGHT).eval()
    image = torch.randn(1, 1, 64, 96)
    torch.testing.assert_close(network(image), network.network(image))
    (only,) = network(image, every_head=True)
    assert torch.equal(only, network(image))


def test_config_rebuilds_the_network_without_weights_to_download(smp):
    network = PretrainedUNet(3, 2, **LIGHT).eval()
    assert network.config["weights"] is None
    again = PretrainedUNet(**network.config).eval()
    again.load_state_dict(network.state_dict())
    image = torch.randn(1, 3, 40, 40)
    assert torch.equal(network(image), again(image))


def test_named_weights_reach_smp_and_are_forgotten_by_config(smp, monkeypatch):
    asked = {}
    create = smp.create_model

    def without_download(*words, encoder_weights, **options):
        asked["weights"] = encoder_weights
        return create(*words, encoder_weights=None, **options)

    monkeypatch.setattr(smp, "create_model", without_download)
    network = PretrainedUNet(**(LIGHT | {"weights": "imagenet"}))
    assert asked == {"weights": "imagenet"}
    assert network.config["weights"] is None
    PretrainedUNet(**network.config)
    assert asked == {"weights": None}


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-b0", "mit_b0", "tu-resnet18"])
def test_encoders_of_four_families(smp, encoder):
    network = PretrainedUNet(1, 2, encoder=encoder, weights=None)
    assert network(torch.randn(2, 1, 33, 47)).shape == (2, 2, 33, 47)


@pytest.mark.parametrize("encoder", ["mobilenet_v2", "mit_b0", "tu-resnet18"])
def test_shapes_are_planned_without_memory_or_random_numbers(smp, encoder):
    """As a checkpoint is opened: some encoders of SMP cannot be built on the meta device."""
    before = torch.get_rng_state()
    with torch.device("meta"):
        planned = PretrainedUNet(2, 3, encoder=encoder, weights=None, depth=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert {parameter.device.type for parameter in planned.parameters()} == {"meta"}
    built = PretrainedUNet(**planned.config)
    shapes = [{name: one.shape for name, one in net.state_dict().items()} for net in (planned, built)]
    assert shapes[0] == shapes[1]


def test_depth_and_width_are_those_of_smp_by_default(smp):
    network = PretrainedUNet(3, 2, encoder="resnet18", weights=None)
    theirs = smp.Unet("resnet18", encoder_weights=None, in_channels=3, classes=2)
    assert {k: v.shape for k, v in network.network.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }


def test_page_says_what_the_network_costs(smp):
    assert page_row("unet_pretrained") == row("unet_pretrained", PretrainedUNet(weights=None), [256, 256])


def test_a_missing_library_is_named_with_the_command_that_installs_it():
    """In a process where the import fails, whether the library is installed or not."""
    code = (
        "import sys; sys.modules['segmentation_models_pytorch'] = None\n"
        "from segexp.models import PretrainedUNet\n"
        "try: PretrainedUNet()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'segexp[pretrained]'" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"spatial_dims": 3}, "spatial_dims=3: pretrained encoders are for images alone: take model=unet_3d"),
        ({"decoder": "UNet"}, "did you mean 'Unet'"),
        ({"depth": 6}, "depth=6 is not one of"),
        ({"in_channels": 0}, "in_channels=0 must be an integer of at least 1"),
    ],
)
def test_wrong_arguments_are_refused_with_value_and_rule(arguments, words):
    with pytest.raises(ValueError, match=words):
        PretrainedUNet(**arguments)
