"""The U-Net of Ronneberger et al. 2015, for images and volumes, with the choices people compare."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

from torch import Tensor, nn

from segexp.errors import require_at_least, require_choice
from segexp.models.blocks import ACTIVATIONS, BLOCKS, NORMS, Down, OutConv, Up, make_block
from segexp.models.network import Network
from segexp.models.receptive_field import Reach
from segexp.models.recompute import run_checkpointed
from segexp.models.sizes import crop_end, even_sizes, pad_end, valid_margin, valid_output_size
from segexp.models.upsampling import LEARNED_UPSAMPLING, UPSAMPLING


class UNet(Network):
    """U-Net: a contracting and an expanding path of double convolutions, joined by skip connections at every level.

    Args:
        in_channels: Channels of the image.
        num_classes: Classes, background included; one logit each.
        spatial_dims: 2 for images, 3 for volumes.
        base_channels: Channels of the first level; doubled with each level down.
        max_channels: No level has more; None = no limit.
        depth: Number of down-samplings, at least 1.
        block: "plain" convolutions, or "residual": the input of each pair of convolutions is added to its output.
        upsampling: "transposed" (convolution, kernel 2, stride 2), "linear" (bilinear or trilinear), "nearest",
            "pixel_shuffle". Without parameters of their own, "linear" and "nearest" go with half the channels in
            the deepest level and in the expanding path.
        attention: Weigh the pixels of each skip connection by a gate (Attention U-Net).
        nested: Join the levels by further nodes at every depth (U-Net++): the expanding paths of the U-Nets of
            depth 1, 2, .., each of which passes its maps on to the next.
        deep_supervision: Number of further heads for training, below ``depth``: on decoder level 1, 2, .. with
            logits of 1/2, 1/4, .. size; where ``nested``, on the shallower U-Nets with logits of full size.
        squeeze_excitation: Reduction ratio of a squeeze-and-excitation in each block (16 in its paper); 0 = none.
        norm: "batch", "instance", "group" (8 groups where the channels divide) or "none".
        activation: "relu", "leaky_relu", "elu", "silu" or "gelu".
        dropout: Probability of dropping whole channels at the end of the contracting path.
        padding: "same" gives logits of the input's size, from 1 pixel up; "valid" (the paper's) those pixels whose
            whole context lies inside the image, see ``output_size``.
        alignment: Where skip and up-sampled map differ in size: "pad" the smaller one or "crop" the larger one.
            With "same" padding odd sizes are pooled down for "pad" and up for "crop"; "valid" needs "crop".
        init: "torch" leaves the weights as PyTorch draws them, "he" draws them from N(0, 2 / fan-in) (He et al.
            2015), as the paper does.
        checkpointing: Keep only the maps between levels for the backward pass and compute the others once more:
            less memory, more time, the same gradients.

    Attributes:
        heads: Number of outputs of ``forward(image, every_head=True)``.
        margin: Pixels that the logits lack on each side of each axis; 0 with "same" padding.
        even_sizes: Image sizes that every pooling halves evenly.

    Raises:
        ValueError: An argument is out of its range, or two do not go together.

    Source: Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597); volumes: Çiçek et al. 2016 (arXiv:1606.06650);
    nested, deep supervision: Zhou et al. 2018 (arXiv:1807.10165). For the other choices see blocks.py, attention.py.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        spatial_dims: int = 2,
        base_channels: int = 64,
        max_channels: int | None = None,
        depth: int = 4,
        block: str = "plain",
        upsampling: str = "transposed",
        attention: bool = False,
        nested: bool = False,
        deep_supervision: int = 0,
        squeeze_excitation: int = 0,
        norm: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        padding: str = "same",
        alignment: str = "pad",
        init: str = "torch",
        checkpointing: bool = False,
    ) -> None:
        self.config = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        _check(**self.config)
        super().__init__()
        self.depth, self.padding, self.ceil = depth, padding, alignment == "crop" and padding == "same"
        self.nested, self.heads, self.checkpointing = nested, 1 + deep_supervision, checkpointing
        self.margin = valid_margin(depth) if padding == "valid" else 0
        self.even_sizes = even_sizes(depth, padding)
        self.linear = upsampling == "linear"
        widths = [min(base_channels * 2**level, max_channels or base_channels * 2**level) for level in range(depth + 1)]
        halve = 1 if upsampling in LEARNED_UPSAMPLING else 2
        encoded = [*widths[:-1], max(widths[-1] // halve, 1)]
        decoded = [widths[0], *(max(width // halve, 1) for width in widths[1:-1])]
        conv: dict[str, Any] = {"spatial_dims": spatial_dims, "norm": norm, "activation": activation}
        conv |= {"padding": padding, "block": block, "squeeze_excitation": squeeze_excitation}

        self.stem = make_block(in_channels, widths[0], **conv)
        self.downs = nn.ModuleList(Down(above, below, ceil=self.ceil, **conv) for above, below in pairwise(encoded))
        self.dropout = (nn.Dropout2d if spatial_dims == 2 else nn.Dropout3d)(dropout)
        # Level of each step upwards: depth - 1, .., 0; where nested, after those of the shallower U-Nets.
        self.levels = [lv for deepest in range(1 if nested else depth, depth + 1) for lv in reversed(range(deepest))]
        up = conv | {"upsampling": upsampling, "alignment": alignment, "attention": attention}
        self.ups = _make_ups(self.levels, widths, encoded, decoded, **up)
        self.head = OutConv(decoded[0], num_classes, spatial_dims)
        supervised = [0 if nested else level for level in range(1, self.heads)]
        self.further_heads = nn.ModuleList(OutConv(decoded[level], num_classes, spatial_dims) for level in supervised)
        if init == "he":
            self.apply(_draw_he)

    def forward(self, image: Tensor, every_head: bool = False) -> Tensor | list[Tensor]:
        """Map image (B, C, *S) to logits.

        Returns:
            (B, num_classes, *S), or (B, num_classes, *output_size(S)) if "valid". With ``every_head`` a list: these
            logits, then those of the further heads, (B, num_classes, *about S / 2**k) or, nested, of full size.
        """
        size = image.shape[2:]
        rows = self._decode(self._encode(self._widen(image)), every_head)
        if not every_head:
            return self._crop(self.head(rows[0][-1]), size)
        outputs = [self.head(rows[0][-1])]
        for k, head in enumerate(self.further_heads, start=1):
            outputs.append(head(rows[0][-1 - k] if self.nested else rows[k][-1]))
        return [self._crop(logits, size, 0 if self.nested else k) for k, logits in enumerate(outputs)]

    def _encode(self, image: Tensor) -> list[list[Tensor]]:
        """Maps of the contracting path, a row with one of them per level, the finest first."""
        encoded = [self._run(self.stem, image)]
        for down in self.downs:
            encoded.append(self._run(down, encoded[-1]))
        return [*([x] for x in encoded[:-1]), [self.dropout(encoded[-1])]]

    def _decode(self, rows: list[list[Tensor]], every_head: bool) -> list[list[Tensor]]:
        """Append to each row the maps of its level; each joins all before it and the newest from below."""
        for up, level in zip(cast("list[Up]", self.ups), self.levels, strict=True):
            if self.training or every_head or self.nested:
                rows[level].append(self._run(up, rows[level + 1][-1], *rows[level]))
            else:  # nothing holds a map that has served
                rows[level].append(up.take(rows[level + 1], rows[level]))
        return rows

    def _run(self, module: nn.Module, *maps: Tensor) -> Tensor:
        return run_checkpointed(module, *maps) if self.checkpointing and self.training else module(*maps)

    def _widen(self, image: Tensor) -> Tensor:
        """Repeat the edge of a tiny image so that the deepest level has two pixels a side; refuse impossible sizes."""
        if self.padding == "valid":
            self.output_size(image.shape[2:])
            return image
        return pad_end(image, [2 ** (self.depth + 1)] * (image.ndim - 2))

    def _crop(self, logits: Tensor, size: Sequence[int], level: int = 0) -> Tensor:
        """Undo ``_widen`` on logits of a decoder level."""
        if self.padding == "valid":
            return logits
        return crop_end(logits, [-(-n >> level) if self.ceil else max(n >> level, 1) for n in size])

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Size of the logits for an image of ``size``, per spatial axis.

        Raises:
            ValueError: "valid" padding cannot pool this size evenly; names the nearest sizes that it can.
        """
        return tuple(size) if self.padding == "same" else valid_output_size(size, self.depth)

    def receptive_field(self) -> int:
        """Width in pixels, along an axis, of the widest part of the image that a pixel of the logits depends on.

        Counts convolutions, poolings, up-samplings and all skip connections. Squeeze-and-excitation, instance norm,
        group norm and, in training, batch norm take means over the whole map and are left out.
        """
        rows = [[Reach().convolve(3).convolve(3)]]
        for _ in self.downs:
            rows.append([rows[-1][0].pool().convolve(3).convolve(3)])
        for level in self.levels:
            joined = rows[level + 1][-1].upsample(linear=self.linear).join(*rows[level])
            rows[level].append(joined.convolve(3).convolve(3))
        return rows[0][-1].width


def _make_ups(levels: list[int], widths: list[int], encoded: list[int], decoded: list[int], **up: Any) -> nn.ModuleList:
    """Build one ``Up`` for each of ``levels``; it joins the newest map from below with all maps of its level."""
    ups = nn.ModuleList()
    rows = [[channels] for channels in encoded]
    for level in levels:
        below, more = rows[level + 1][-1], sum(rows[level][1:])
        ups.append(Up(below, widths[level], decoded[level], more_skip_channels=more, **up))
        rows[level].append(decoded[level])
    return ups


def _draw_he(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


CHOICES = {
    "spatial_dims": (2, 3),
    "block": BLOCKS,
    "upsampling": UPSAMPLING,
    "attention": (False, True),
    "nested": (False, True),
    "norm": NORMS,
    "activation": ACTIVATIONS,
    "padding": ("same", "valid"),
    "alignment": ("pad", "crop"),
    "init": ("torch", "he"),
    "checkpointing": (False, True),
}


def _check(max_channels: int | None, dropout: float, padding: str, alignment: str, **given: object) -> None:
    for name in ("in_channels", "num_classes", "base_channels", "depth"):
        require_at_least(name, given[name], 1, integer=True)
    for name in ("deep_supervision", "squeeze_excitation"):
        require_at_least(name, given[name], 0, integer=True)
    if max_channels is not None:
        require_at_least("max_channels", max_channels, given["base_channels"], integer=True)  # type: ignore[arg-type]
    for name, allowed in CHOICES.items():
        require_choice(name, {"padding": padding, "alignment": alignment, **given}[name], allowed)
    require_at_least("dropout", dropout, 0.0)
    if dropout >= 1:
        raise ValueError(f"dropout={dropout!r} must be below 1: all channels would be dropped")
    if padding == "valid" and alignment == "pad":
        raise ValueError("alignment='pad' would zero-pad what padding='valid' left out: take alignment='crop'")
    _check_heads(given["deep_supervision"], given["depth"], padding)  # type: ignore[arg-type]


def _check_heads(deep_supervision: int, depth: int, padding: str) -> None:
    if deep_supervision >= depth:
        raise ValueError(
            f"deep_supervision={deep_supervision} must be below depth={depth}: there are {depth - 1} decoder levels "
            f"below the finest; take deep_supervision={depth - 1} or less"
        )
    if deep_supervision and padding == "valid":
        raise ValueError(
            f"deep_supervision={deep_supervision} needs logits that cover the same pixels at every level, "
            "which padding='valid' does not give: take padding='same' or deep_supervision=0"
        )
