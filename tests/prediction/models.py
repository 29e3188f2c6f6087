"""Small networks with random weights, as if opened from a run."""

from typing import Any

import torch

from segexp.checkpoints.checkpoint import Model
from segexp.models import UNet
from tests.safety.corpus import model_description

ZSCORE = {"rule": "ZScore"}


def make_model(seed: int = 0, classes: int = 2, network: dict[str, Any] | None = None, **description: Any) -> Model:
    """Make a model whose logits are spread about 0; ``description`` changes that of the corpus."""
    torch.manual_seed(seed)
    settings = {"in_channels": 1, "num_classes": classes, "base_channels": 4, "depth": 1, **(network or {})}
    made = UNet(**settings).eval()
    dims = made.config["spatial_dims"]
    with torch.no_grad():
        logits = made(torch.randn(1, settings["in_channels"], *[20] * dims))
        made.head[0].bias -= logits.mean((0, *range(2, 2 + dims)))
        for weights in made.head[0].parameters():
            weights *= 2 / logits.std()
    names = {"class_names": [f"class {index}" for index in range(classes)], "label_values": list(range(classes))}
    if "regions" in description:
        names = {}
    return Model(made, model_description(model=made.config, **{"intensity": ZSCORE, **names, **description}))
