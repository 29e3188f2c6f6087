"""The U-Net of Ronneberger et al. 2015, for images and volumes, with the choices people compare."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from segexp.errors import require_at_least, require_choice
from segexp.models.blocks import ACTIVATIONS, LEARNED_UPSAMPLING, NORMS, UPSAMPLING, DoubleConv, Down, OutConv, Up


class UNet(nn.Module):
    """U-Net: a contracting and an expanding path of DoubleConvs, joined by skip connections at every level.

    Args:
        in_channels: Channels of the image.
        num_classes: Classes, background included; one logit each.
        spatial_dims: 2 for images, 3 for volumes.
        base_channels: Channels of the first level; doubled with each level down.
        max_channels: No level has more; None = no limit.
        depth: Number of down-samplings, at least 1.
        upsampling: "transposed" (convolution, kernel 2, stride 2), "linear" (bilinear or trilinear), "nearest",
            "pixel_shuffle". Without parameters of their own, "linear" and "nearest" go with half the channels in
            the deepest level and in the expanding path.
        norm: "batch", "instance", "group" (8 groups where the channels divide) or "none".
        activation: "relu", "leaky_relu", "elu", "silu" or "gelu".
        dropout: Probability of dropping whole channels at the end of the contracting path.
        padding: "same" gives logits of the input's size, from 1 pixel up; "valid" (the paper's) those pixels whose
            whole context lies inside the image, see ``output_size``.
        alignment: Where skip and up-sampled map differ in size: "pad" the smaller one or "crop" the larger one.
            With "same" padding odd sizes are pooled down for "pad" and up for "crop"; "valid" needs "crop".
        init: "torch" leaves the weights as PyTorch draws them, "he" draws them from N(0, 2 / fan-in) (He et al.
            2015), as the paper does.

    Raises:
        ValueError: An argument is out of its range.

    Source: Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597); volumes: Çiçek et al. 2016 (arXiv:1606.06650).
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        spatial_dims: int = 2,
        base_channels: int = 64,
        max_channels: int | None = None,
        depth: int = 4,
        upsampling: str = "transposed",
        norm: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        padding: str = "same",
        alignment: str = "pad",
        init: str = "torch",
    ) -> None:
        self.config = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        _check(**self.config)
        super().__init__()
        self.depth, self.padding = depth, padding
        widths = [min(base_channels * 2**level, max_channels or base_channels * 2**level) for level in range(depth + 1)]
        halve = 1 if upsampling in LEARNED_UPSAMPLING else 2
        conv = {"spatial_dims": spatial_dims, "norm": norm, "activation": activation, "padding": padding}

        self.stem = DoubleConv(in_channels, widths[0], **conv)  # type: ignore[arg-type]
        outs = [*widths[1:-1], max(widths[-1] // halve, 1)]
        ceil = alignment == "crop" and padding == "same"
        self.downs = nn.ModuleList(Down(i, o, ceil=ceil, **conv) for i, o in zip(widths[:-1], outs, strict=True))
        self.dropout = (nn.Dropout2d if spatial_dims == 2 else nn.Dropout3d)(dropout)
        self.ups = nn.ModuleList()
        below = outs[-1]
        for level in reversed(range(depth)):
            out = max(widths[level] // halve, 1) if level else widths[0]
            self.ups.append(Up(below, widths[level], out, upsampling=upsampling, alignment=alignment, **conv))
            below = out
        self.head = OutConv(widths[0], num_classes, spatial_dims)
        if init == "he":
            self.apply(_draw_he)

    def forward(self, image: Tensor) -> Tensor:
        """Map image (B, C, *S) to logits (B, num_classes, *S), or (B, num_classes, *output_size(S)) if "valid"."""
        size = image.shape[2:]
        x = self._widen(image)
        x = self.stem(x)
        skips = [x]
        for down in self.downs:
            x = down(x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for up in self.ups:
            x = up(x, skips.pop())
        logits = self.head(x)
        if self.padding == "same" and logits.shape[2:] != size:
            logits = logits[(..., *(slice(n) for n in size))]
        return logits

    def _widen(self, image: Tensor) -> Tensor:
        """Repeat the edge of a tiny image so that the deepest level has two pixels a side; refuse impossible sizes."""
        if self.padding == "valid":
            self.output_size(image.shape[2:])
            return image
        least = 2 ** (self.depth + 1)
        missing = [max(0, least - n) for n in image.shape[2:]]
        if not any(missing):
            return image
        return F.pad(image, [pad for lack in reversed(missing) for pad in (0, lack)], mode="replicate")

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Size of the logits for an image of ``size``, per spatial axis.

        Raises:
            ValueError: "valid" padding cannot pool this size evenly; names the nearest sizes that it can.
        """
        if self.padding == "same":
            return tuple(size)
        outs = [_valid_output(n, self.depth) for n in size]
        if None in outs:
            bad = size[outs.index(None)]
            near = [n for n in range(bad, bad + 2 ** (self.depth + 4)) if _valid_output(n, self.depth)]
            smaller = [n for n in range(bad, 0, -1) if _valid_output(n, self.depth)]
            fits = " or ".join(str(n) for n in (*smaller[:1], *near[:1]))
            raise ValueError(
                f"size {tuple(size)}: with padding=valid and depth={self.depth} an axis of {bad} pixels cannot be "
                f"halved evenly at every level; take {fits}, or model.padding=same"
            )
        return tuple(out for out in outs if out is not None)


def _valid_output(size: int, depth: int) -> int | None:
    """Output of an axis of ``size`` pixels under unpadded convolutions, None if a pooling would meet an odd size."""
    for _ in range(depth):
        size -= 4
        if size <= 0 or size % 2:
            return None
        size //= 2
    size -= 4
    for _ in range(depth):
        size = 2 * size - 4
    return size if size > 0 else None


def _draw_he(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check(**given: object) -> None:
    for name in ("in_channels", "num_classes", "base_channels", "depth"):
        require_at_least(name, given[name], 1, whole=True)
    if given["max_channels"] is not None:
        require_at_least("max_channels", given["max_channels"], given["base_channels"], whole=True)  # type: ignore[arg-type]
    require_choice("spatial_dims", given["spatial_dims"], (2, 3))
    require_choice("upsampling", given["upsampling"], UPSAMPLING)
    require_choice("norm", given["norm"], NORMS)
    require_choice("activation", given["activation"], ACTIVATIONS)
    require_choice("padding", given["padding"], ("same", "valid"))
    require_choice("alignment", given["alignment"], ("pad", "crop"))
    require_choice("init", given["init"], ("torch", "he"))
    require_at_least("dropout", given["dropout"], 0.0)
    if given["dropout"] >= 1:  # type: ignore[operator]
        raise ValueError(f"dropout={given['dropout']!r} must be below 1: all channels would be dropped")
    if given["padding"] == "valid" and given["alignment"] == "pad":
        raise ValueError("alignment='pad' would zero-pad what padding='valid' left out: take alignment='crop'")
