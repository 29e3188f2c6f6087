import pytest
import torch
from torch import nn

from segexp.models import FCN8s
from segexp.models.fcn import linear_upsampling


def test_parameters_are_those_of_vgg_16_and_the_scores():
    """VGG-16 has 138 357 544 parameters, 4 097 000 of them in its last layer; FCN-8s scores 4096, 512, 256 channels."""
    with torch.device("meta"):
        network = FCN8s(3, 21)
    scores = sum(channels * 21 + 21 for channels in (4096, 512, 256))
    upsampling = 2 * 21 * 21 * 4 * 4
    vgg = 138_357_544 - 4_097_000
    assert sum(p.numel() for p in network.parameters()) == vgg + scores + upsampling
    assert sum(p.numel() for p in network.stages.parameters()) == 14_714_688


@pytest.mark.parametrize("dims", [2, 3])
def test_learned_upsampling_starts_as_linear_interpolation(dims):
    mode = {2: "bilinear", 3: "trilinear"}[dims]
    image = torch.randn(2, 3, *[6] * dims)
    inner = (..., *[slice(2, -2)] * dims)  # at the border the transposed convolution sees zeros
    with torch.no_grad():
        ours = linear_upsampling(3, dims)(image)
    theirs = nn.functional.interpolate(image, scale_factor=2, mode=mode, align_corners=False)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours[inner], theirs[inner])


@pytest.mark.parametrize("norm", ["none", "batch", "instance", "group"])
@pytest.mark.parametrize("size", [(1, 1), (31, 65), (64, 32), (1, 2, 33)])
def test_any_size_gives_logits_of_that_size(size, norm):
    network = FCN8s(2, 3, len(size), base_channels=2, fc_channels=4, norm=norm)
    image = torch.randn(1, 2, *size)
    assert network(image).shape == (1, 3, *size)
    (only,) = network.eval()(image, every_head=True)
    assert torch.equal(only, network(image))


def test_scores_of_three_depths_are_summed():
    """Constant scores: 1 from the deepest stage, 10 from the fourth, 100 from the third, far from the border."""
    network = FCN8s(1, 2, base_channels=1, fc_channels=1).eval()
    for layer, value in ((network.score, 1.0), (network.score_pool4, 10.0), (network.score_pool3, 100.0)):
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, value)
    logits = network(torch.randn(1, 1, 256, 256))
    torch.testing.assert_close(logits[..., 128, 128], torch.full((1, 2), 111.0))


def test_stages_halve_five_times():
    network = FCN8s(base_channels=2, fc_channels=3)
    x, sizes = torch.randn(1, 1, 64, 96), []
    for stage in network.stages:
        x = stage(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(2, 32, 48), (4, 16, 24), (8, 8, 12), (16, 4, 6), (16, 2, 3)]


def test_config_builds_the_same_network():
    network = FCN8s(2, 3, base_channels=2, fc_channels=3, norm="batch", dropout=0.0).eval()
    again = FCN8s(**network.config).eval()
    again.load_state_dict(network.state_dict())
    image = torch.randn(1, 2, 40, 40)
    assert torch.equal(network(image), again(image))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"fc_channels": 0}, "fc_channels=0 must be an integer of at least 1"),
        ({"spatial_dims": 1}, "spatial_dims=1 is not one of"),
        ({"norm": "bach"}, "did you mean 'batch'"),
        ({"dropout": 1}, "dropout=1 must be a number of at least 0 and below 1"),
    ],
)
def test_wrong_arguments_are_refused_with_value_and_rule(arguments, words):
    with pytest.raises(ValueError, match=words):
        FCN8s(**arguments)
