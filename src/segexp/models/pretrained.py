"""Encoders with pretrained weights, from segmentation_models_pytorch (SMP)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice
from segexp.models.network import Network
from segexp.models.sizes import EvenSizes, crop_end, pad_end

DECODERS = ("Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "DeepLabV3Plus")


class PretrainedUNet(Network):
    """A network of segmentation_models_pytorch, for images of any size.

    Needs ``pip install 'segexp[pretrained]'``. The image is padded at its end to a size that can be halved evenly, by
    repeating its last pixels, and the logits are cropped.

    Args:
        in_channels: Number of channels of the image; where it is not 3, SMP fits the weights of the first convolution.
        num_classes: Number of classes, background included; one logit each.
        spatial_dims: 2.
        encoder: Name of an SMP encoder, such as "resnet34", "efficientnet-b0", "mit_b0" or "tu-<name in timm>".
        weights: Weights to start from, as SMP names them for the encoder, such as "imagenet"; they are downloaded.
            None = random. ``config`` says None in any case: a checkpoint brings its own.
        decoder: "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN" or "DeepLabV3Plus"; SMP refuses some pairs.
        depth: Number of down-samplings, 3 to 5; for some encoders 5 alone.
        base_channels: Number of channels of the decoder at full size, doubled with each level down; for "Unet",
            "UnetPlusPlus" and "MAnet".

    Raises:
        ImportError: segmentation_models_pytorch is not installed.
        ValueError: An argument is out of its range.
    """

    even_sizes: EvenSizes

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        spatial_dims: int = 2,
        encoder: str = "resnet34",
        weights: str | None = "imagenet",
        decoder: str = "Unet",
        depth: int = 5,
        base_channels: int = 16,
    ) -> None:
        self.config = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        _check(**self.config)
        self.config["weights"] = None
        super().__init__()
        self.even_sizes = EvenSizes(2 ** (depth + 1), 2**depth)
        device = torch.get_default_device()
        # SMP reads numbers of tensors while it builds some encoders, which tensors without memory do not have.
        with torch.random.fork_rng(devices=[], enabled=device.type == "meta"), torch.device("cpu"):
            self.network = _smp().create_model(
                decoder,
                encoder_name=encoder,
                encoder_weights=weights,
                in_channels=in_channels,
                classes=num_classes,
                encoder_depth=depth,
                **_decoder_options(decoder, depth, base_channels),
            )
            self._freeze_unused(in_channels)
        self.to(device)

    def forward(self, image: Tensor, every_head: bool = False) -> Tensor | list[Tensor]:
        """Map image (B, C, H, W) to logits (B, num_classes, H, W); with ``every_head`` to a list of one."""
        size = image.shape[2:]
        logits = crop_end(self.network(pad_end(image, [self.even_sizes.at_least(side) for side in size])), size)
        return [logits] if every_head else logits

    def _freeze_unused(self, in_channels: int) -> None:
        """Take no gradients of encoder stages below ``depth``, which SMP builds and does not run."""
        parameters = list(self.parameters())
        with torch.enable_grad():
            logits = self.eval().network(torch.zeros(1, in_channels, *[self.even_sizes.least] * 2))
        gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)
        self.train()

    def receptive_field(self) -> None:
        """None: unknown, it depends on the encoder."""
        return


def _decoder_options(decoder: str, depth: int, base_channels: int) -> Mapping[str, int | list[int]]:
    """Arguments of a decoder whose defaults fit a depth of five alone."""
    if decoder == "FPN":
        return {"upsampling": 2 ** (depth - 3)}
    if decoder in ("Unet", "UnetPlusPlus", "MAnet"):
        return {"decoder_channels": [base_channels * 2**level for level in reversed(range(depth))]}
    return {}


def _smp() -> Any:
    try:
        import segmentation_models_pytorch
    except ImportError as error:
        raise ImportError(
            "pretrained encoders need segmentation_models_pytorch: pip install 'segexp[pretrained]', "
            "or choose model=unet, which trains from random weights"
        ) from error
    return segmentation_models_pytorch


def _check(spatial_dims: int, decoder: str, depth: int, **given: object) -> None:
    if spatial_dims != 2:
        raise ValueError(
            f"spatial_dims={spatial_dims!r}: pretrained encoders are for images alone: "
            "take model=unet_3d, or slices of the volume (data.geometry.spatial_dims=2)"
        )
    require_choice("decoder", decoder, DECODERS)
    for name in ("in_channels", "num_classes", "base_channels"):
        require_at_least(name, given[name], 1, integer=True)
    require_choice("depth", depth, (3, 4, 5))
