from contextlib import nullcontext

import pytest
import torch
from torch import nn

from segexp.models import UNet, adapted
from segexp.models.probabilities import require_unbounded


def layers(*last: nn.Module, norm: bool = False) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), *[nn.InstanceNorm2d(2)] * norm, *last)


class Faint(nn.Module):
    """Gives logits between 0 and 1 as long as its weight is small."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.05))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.scale * torch.cat([image, -image], dim=1).abs()


@pytest.mark.parametrize(
    ("network", "refused"),
    [
        (layers(), False),
        (layers(nn.ReLU()), False),
        (Faint(), False),
        (layers(nn.Softmax(1)), True),
        (layers(nn.Sigmoid()), True),
        (layers(nn.Softmax(1), norm=True), True),
    ],
)
def test_probabilities_in_place_of_logits_are_refused(network, refused):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match="lie between 0 and 1 whatever its weights") if refused else nullcontext():
        require_unbounded(adapted(network, 1, 2, (16, 16)), 1, 2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_networks_of_ours_are_not_tried():
    require_unbounded(UNet(1, 2, base_channels=4, depth=1), 1, 2)
