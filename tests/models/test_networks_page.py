"""docs/networks.md says of every model what it costs."""

import pytest
import torch
from hydra.utils import instantiate

from segexp.config import compose, config_dir, plain
from tests.models.page import page_row, row

SIZES = {"unet_2015": [252, 252], "unet_3d": [64, 64, 64], "unet_anisotropic": [32, 64, 64]}
MODELS = sorted({path.stem for path in (config_dir() / "model").glob("*.yaml")} - {"unet_pretrained", "custom"})


@pytest.mark.parametrize("model", MODELS)
def test_page_says_what_a_network_costs(model):
    node = plain(compose([f"model={model}", "name=test"], run_dir="unused"))["model"]
    size = SIZES.get(model, [256, 256])
    with torch.device("meta"):
        network = instantiate(node | {"in_channels": 1, "num_classes": 2, "spatial_dims": len(size)})
    assert page_row(model) == row(model, network, size)
