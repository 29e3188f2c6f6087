"""Every file of conf/model, composed and trained for a step: all depths, up-samplings and dimensions."""

import hashlib
from functools import cache
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from segexp.config import compose, config_dir, plain
from segexp.models import UNet, UNetPlusPlus
from segexp.models.upsampling import UPSAMPLING

PRETRAINED = "unet_pretrained"  # test_pretrained.py
# The levels of unet_anisotropic are for one depth and three dimensions, see test_levels.py.
OTHERS = {PRETRAINED, "custom", "unet_anisotropic"}
MODELS = sorted({path.stem for path in (config_dir() / "model").glob("*.yaml")} - OTHERS)
SIZES = {2: [33, 21], 3: [9, 13, 17]}  # none divides by two
TINY = {"base_channels": 2, "max_channels": 8, "fc_channels": 3, "in_channels": 2, "num_classes": 3}


STATE = {  # entries of the state_dict, parameters, digest of names and shapes: checkpoints fit while these stay
    "fcn8s": (38, 134_269_254, "fd94d6abbca22ba8"),
    "fcn8s_tiny": (98, 436_462, "03bb12501bbe26f2"),
    "unet": (118, 31_036_546, "6c779a185fa6c374"),
    "unet_2015": (46, 31_030_658, "3cb42c97313661d5"),
    "unet_3d": (50, 1_926_466, "913cf2b329dfc4cb"),
    "unet_attention": (138, 31_385_670, "9e6e482d5d27ec6f"),
    "unet_bilinear": (110, 17_261_890, "9f62043cbe321714"),
    "unet_deep_supervision": (122, 31_037_318, "41ac561f3dfd627d"),
    "unet_plus_plus": (202, 9_045_282, "2e1da54c7de8cf10"),
    "unet_residual": (172, 32_435_138, "81d94fce453dfc1d"),
    "unet_se": (154, 31_257_786, "abe8bca88c95e71a"),
    "unet_tiny": (118, 486_418, "90b1f09ac0b1611f"),
}


@cache
def composed(model: str) -> dict[str, Any]:
    """A model's node as composed, then made tiny."""
    node = plain(compose([f"model={model}", "name=test"], run_dir="unused"))["model"]
    return node | {key: value for key, value in TINY.items() if key in node}


def build(node: dict[str, Any], dims: int, depth: int, upsampling: str) -> nn.Module:
    changes = {"spatial_dims": dims, "depth": depth, "upsampling": upsampling}
    if node.get("deep_supervision"):
        changes["deep_supervision"] = min(node["deep_supervision"], depth - 1)
    return instantiate(node | {key: value for key, value in changes.items() if key in node}, _convert_="all")


def fitting(network: nn.Module, size: list[int]) -> list[int]:
    """The next sizes that an unpadded network takes; any network else takes all sizes."""
    if not network.margin:
        return size
    fits = []
    for least in size:
        n = least
        while not takes(network, n):
            n += 1
        fits.append(n)
    return fits


def takes(network: nn.Module, n: int) -> bool:
    try:
        network.output_size([n])
    except ValueError:
        return False
    return True


def step(network: nn.Module, size: list[int]) -> None:
    """One step: shapes, finite gradients for all parameters."""
    image = torch.randn(2, 2, *fitting(network, size))
    outputs: list[Tensor] = network(image, every_head=True)
    assert len(outputs) == network.heads
    wanted = network.output_size(image.shape[2:]) if isinstance(network, UNet) else tuple(size)
    assert outputs[0].shape == (2, 3, *wanted)
    sum(logits.square().mean() for logits in outputs).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"{name} gets no gradient"
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("model", MODELS)
def test_names_and_shapes_of_weights_stay(model):
    node = plain(compose([f"model={model}", "name=test"], run_dir="unused"))["model"]
    with torch.device("meta"):
        network = instantiate(node, _convert_="all")
    shapes = [f"{name} {tuple(value.shape)}" for name, value in network.state_dict().items()]
    digest = hashlib.sha256("\n".join(shapes).encode()).hexdigest()[:16]
    assert (len(shapes), sum(p.numel() for p in network.parameters()), digest) == STATE[model]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_takes_a_step_shallow_and_deep_with_every_upsampling(model):
    node = composed(model)
    knobs = "depth" in node
    for dims, size in SIZES.items():
        depths = (1, 3)
        if dims == 3 and node.get("padding") == "valid":
            size, depths = [1, 1, 1], (1, 2)  # the least that fits, which grows with depth to hundreds of voxels
        for depth in depths if knobs else (0,):
            for upsampling in UPSAMPLING if knobs else ("",):
                step(build(node, dims, depth, upsampling), size)


@pytest.mark.parametrize("model", sorted({m for m in MODELS if m.startswith("unet")} - {"unet_2015"}))
def test_every_unet_takes_a_step_at_depth_seven(model):
    network = build(composed(model), 2, 7, "linear")
    assert network.receptive_field() > 1000
    step(network, [257, 31])


def test_unpadded_depth_seven_takes_no_image_below_1532_pixels():
    """Bottom: 8 pixels. Upwards 2 · 4 - 4 stays 4. Downwards, before each pooling: 8, 2 · 8 + 4, .. = 12 · 2**7 - 4."""
    network = UNet(depth=7, base_channels=1, padding="valid", alignment="crop")
    with pytest.raises(ValueError, match="take 1532, or"):
        network.output_size([300])


def test_all_knobs_go_together():
    torch.manual_seed(0)
    for dims, size in SIZES.items():
        for upsampling in UPSAMPLING:
            for alignment in ("pad", "crop"):
                network = UNetPlusPlus(
                    2, 3, dims, 2, depth=3, block="residual", upsampling=upsampling, attention=True,
                    deep_supervision=2, squeeze_excitation=2, dropout=0.2, alignment=alignment, checkpointing=True,
                )  # fmt: skip
                step(network, size)


@pytest.mark.parametrize(
    ("kind", "knobs"), [(UNetPlusPlus, {"attention": True}), (UNet, {"block": "residual", "squeeze_excitation": 2})]
)
def test_exported_network_agrees(kind, knobs):
    network = kind(base_channels=2, depth=2, **knobs).eval()
    image = torch.randn(1, 1, 21, 17)
    exported = torch.export.export(network, (image,)).module()
    torch.testing.assert_close(exported(image), network(image))
