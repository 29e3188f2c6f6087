"""The U-Net of Ronneberger et al. 2015, for images and volumes, with the choices people compare."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from segexp.errors import require_at_least, require_between, require_choice
from segexp.models.blocks import ACTIVATIONS, BLOCKS, NORMS, BlockOptions, Down, OutConv, Up, draw_he_weights
from segexp.models.levels import Levels, PerLevel, as_lists, channels_per_level, require_channels
from segexp.models.network import Network
from segexp.models.recompute import run_checkpointed
from segexp.models.sizes import ALIGNMENTS, along_axes, crop_end, pad_end, require_even
from segexp.models.upsampling import UPSAMPLING

INITS: dict[str, Callable[[nn.Module], None]] = {"torch": lambda _: None, "he": draw_he_weights}


class UNet(Network):
    """U-Net: a contracting and an expanding path of double convolutions, joined by skip connections at every level.

    Args:
        in_channels: Number of channels of the image.
        num_classes: Number of classes, background included; one logit each.
        spatial_dims: 2 for images, 3 for volumes.
        base_channels: Number of channels of the first level; doubled with each level down.
        max_channels: Most channels of a level; None = no limit.
        depth: Number of down-samplings, at least 1.
        block: "plain" convolutions, or "residual": the input of each pair of convolutions is added to its output.
        upsampling: "transposed" (convolution, kernel 2, stride 2), "linear" (bilinear or trilinear), "nearest",
            "pixel_shuffle". Without parameters of their own, "linear" and "nearest" go with half the channels in
            the deepest level and in the expanding path.
        attention: Whether a gate weighs the pixels of each skip connection (Attention U-Net).
        deep_supervision: Number of further heads for training, below ``depth``: on decoder level 1, 2, .. with
            logits of 1/2, 1/4, .. size.
        squeeze_excitation: Reduction ratio of a squeeze-and-excitation in each block (16 in its paper); 0 = none.
        norm: "batch", "instance", "group" (8 groups where the channels divide) or "none".
        activation: "relu", "leaky_relu", "elu", "silu" or "gelu".
        dropout: Probability of dropping whole channels at the end of the contracting path.
        padding: "same" gives logits of the input's size, from 1 pixel up; "valid" (the paper's) those pixels whose
            whole context lies inside the image, see ``output_size``.
        alignment: What to do where skip and up-sampled map differ in size: "pad" the smaller or "crop" the larger one.
            With "same" padding odd sizes are pooled down for "pad" and up for "crop"; "valid" needs "crop".
        init: "torch" leaves the weights as PyTorch draws them, "he" draws them from N(0, 2 / fan-in) (He et al.
            2015), as the paper does.
        channels: Number of channels of each level, depth + 1 of them, the finest first; None = as ``base_channels`` and
            ``max_channels`` say.
        kernels: Odd size of the convolutions: one number, or one per level, depth + 1 of them; that of a level is a
            number or one per axis, such as [[1, 3, 3], 3, 3] of volumes with thick slices.
        strides: Factor of each down-sampling, 1 or 2: one number, or ``depth`` of them; each a number or one per axis.
        checkpointing: Whether to keep only the maps between levels for the backward pass and compute the others once
            more: less memory, more time, the same gradients.

    Attributes:
        single_skips: Whether each map of ``encode`` goes to one step of the expanding path alone, so that prediction
            may free it there.

    Raises:
        ValueError: An argument is out of its range, or two do not go together.

    Source: Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597); volumes: Çiçek et al. 2016 (arXiv:1606.06650);
    deep supervision: Zhou et al. 2018 (arXiv:1807.10165). For the other choices see blocks.py, attention.py.
    """

    single_skips = True

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
        deep_supervision: int = 0,
        squeeze_excitation: int = 0,
        norm: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        padding: str = "same",
        alignment: str = "pad",
        init: str = "torch",
        checkpointing: bool = False,
        channels: Sequence[int] | None = None,
        kernels: PerLevel = 3,
        strides: PerLevel = 2,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self.config = {name: as_lists(value) for name, value in given.items()}
        _check(**self.config)
        super().__init__()
        self.depth = depth
        self.levels = Levels.of(kernels, strides, padding, depth, spatial_dims)
        self.margin = self.levels.margin
        self.even_sizes = self.levels.even_sizes
        self.padded = padding == "same"
        self.ceil = alignment == "crop" and self.padded
        self.heads = 1 + deep_supervision
        options: Any = {key: given[key] for key in BlockOptions.__annotations__ if key in given}
        encoded, decoded = channels_per_level(channels, base_channels, max_channels, depth, upsampling)
        self.stem = BLOCKS[block](in_channels, encoded[0], kernel=self.levels.kernels[0], **options)
        down: Callable[..., Down] = partial(Down, ceil=self.ceil, block=block, **options)
        steps = zip(pairwise(encoded), self.levels.strides, self.levels.kernels[1:], strict=True)
        self.downs = nn.ModuleList(
            down(above, below, stride=stride, kernel=kernel) for (above, below), stride, kernel in steps
        )
        self.dropout = (nn.Dropout2d if spatial_dims == 2 else nn.Dropout3d)(dropout)
        up = partial(Up, upsampling=upsampling, alignment=alignment, attention=attention, block=block, **options)
        self.ups = self.expanding_path(encoded, decoded, up)
        self.head, *further = (OutConv(decoded[level], num_classes, spatial_dims) for level in self.head_levels)
        self.further_heads = nn.ModuleList(further)
        self.apply(INITS[init])

    def expanding_path(self, encoded: list[int], decoded: list[int], make_up: Callable[..., Up]) -> nn.ModuleList:
        """Build the steps upwards, the deepest first, for maps of so many channels per level."""
        return nn.ModuleList(
            make_up(decoded[level + 1], encoded[level], decoded[level], **self.sizes_of_step(level))
            for level in reversed(range(self.depth))
        )

    def sizes_of_step(self, level: int) -> dict[str, tuple[int, ...]]:
        """Stride and kernel of a step up to a level."""
        return {"stride": self.levels.strides[level], "kernel": self.levels.kernels[level]}

    @property
    def head_levels(self) -> list[int]:
        """Decoder level that each head stands on; 0 is the finest."""
        return list(range(self.heads))

    def forward(self, image: Tensor, every_head: bool = False) -> Tensor | list[Tensor]:
        """Map image (B, C, *S) to logits.

        Returns:
            (B, num_classes, *S), or (B, num_classes, *output_size(S)) if "valid". With ``every_head`` a list: these
            logits, then those of the further heads, (B, num_classes, *about S / 2**k) where all strides are 2.
        """
        *skips, x = self.encode(image)
        decoded: deque[Tensor] = deque(maxlen=self.heads)  # the finest, which heads stand on; others are released
        for up in self.ups:
            x = self.run(up, x, skips.pop())
            decoded.appendleft(x)
        return self.classify(decoded, image.shape[2:], every_head)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Go down the contracting path: one map per level, the finest first."""
        maps = [self.run(self.stem, self.pad(image))]
        for down in self.downs:
            maps.append(self.run(down, maps[-1]))
        maps[-1] = self.dropout(maps[-1])
        return maps

    def classify(
        self, decoded: Iterable[Tensor], size: Sequence[int], every_head: bool = False
    ) -> Tensor | list[Tensor]:
        """Logits of the first head or of all, from the maps that they stand on, for an image of ``size``."""
        heads = [self.head, *self.further_heads] if every_head else [self.head]
        on = zip(heads, decoded, self.head_levels, strict=False)
        logits = [self.crop(head(x), size, level) for head, x, level in on]
        return logits if every_head else logits[0]

    def run(self, module: nn.Module, *maps: Tensor) -> Tensor:
        """Call a module; with ``checkpointing``, without keeping its inner maps for the backward pass."""
        checkpointed = self.config["checkpointing"] and self.training
        result: Tensor = run_checkpointed(module, *maps) if checkpointed else module(*maps)
        return result

    def pad(self, image: Tensor) -> Tensor:
        """Repeat the edge of a tiny image so that the deepest level has two pixels a side; refuse impossible sizes."""
        if self.padded:
            return pad_end(image, [2 * scale for scale in self.levels.scales[-1]])
        self.output_size(image.shape[2:])
        return image

    def crop(self, logits: Tensor, size: Sequence[int], level: int) -> Tensor:
        """Undo ``pad`` on logits of a decoder level."""
        if not self.padded:
            return logits
        pairs = zip(size, self.levels.scales[level], strict=True)
        return crop_end(logits, [-(-n // scale) if self.ceil else max(n // scale, 1) for n, scale in pairs])

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Size of the logits for an image of ``size``, per spatial axis.

        Raises:
            ValueError: "valid" padding cannot pool this size evenly; names the nearest sizes that it can.
        """
        if self.padded:
            return tuple(size)
        require_even(size, along_axes(self.even_sizes, len(size)))
        return tuple(n - 2 * margin for n, margin in zip(size, along_axes(self.margin, len(size)), strict=True))

    def receptive_field(self) -> int | tuple[int, ...]:
        """Width in pixels of the widest part of the image that a pixel of the logits depends on; one, or one per axis.

        Counts convolutions, poolings, up-samplings and all skip connections. Squeeze-and-excitation, instance norm,
        group norm and, in training, batch norm take means over the whole map and are left out.
        """
        return self.levels.receptive_field(linear=self.config["upsampling"] == "linear")


CHOICES: dict[str, Collection[object]] = {
    "spatial_dims": (2, 3),
    "block": BLOCKS,
    "upsampling": UPSAMPLING,
    "attention": (False, True),
    "norm": NORMS,
    "activation": ACTIVATIONS,
    "padding": ("same", "valid"),
    "alignment": ALIGNMENTS,
    "init": INITS,
    "checkpointing": (False, True),
}


def _check(base_channels: int, depth: int, deep_supervision: int, **given: object) -> None:
    counts = {name: given[name] for name in ("in_channels", "num_classes")}
    for name, count in {**counts, "base_channels": base_channels, "depth": depth}.items():
        require_at_least(name, count, 1, integer=True)
    if given["max_channels"] is not None:
        require_at_least("max_channels", given["max_channels"], base_channels, integer=True)
    if given["channels"] is not None:
        require_channels(given["channels"], depth)
    require_at_least("squeeze_excitation", given["squeeze_excitation"], 0, integer=True)
    for name, allowed in CHOICES.items():
        require_choice(name, given[name], allowed)
    require_between("dropout", given["dropout"], 0, 1, "1 would drop all channels", open_at="high")
    below_finest = f"depth={depth} has {depth - 1} decoder levels below the finest"
    require_between("deep_supervision", deep_supervision, 0, depth - 1, below_finest, integer=True)
    if given["padding"] == "valid" and given["alignment"] == "pad":
        raise ValueError("alignment='pad' would zero-pad what padding='valid' left out: take alignment='crop'")
    if given["padding"] == "valid" and deep_supervision:
        raise ValueError(
            f"deep_supervision={deep_supervision} needs logits that cover the same pixels at every level, "
            "which padding='valid' does not give: take padding='same' or deep_supervision=0"
        )
