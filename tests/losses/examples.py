"""All losses with the targets they take, and random examples of both kinds."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from segexp.losses import (
    BinaryCrossEntropy,
    Boundary,
    ClDice,
    Compound,
    CrossEntropy,
    Dice,
    Focal,
    GeneralizedDice,
    Lovasz,
    Tversky,
    WeightedCrossEntropy2015,
)


def dice_ce(ignore_index: int = 255) -> Compound:
    parts = {"dice": Dice(ignore_index=ignore_index), "ce": CrossEntropy(ignore_index=ignore_index)}
    return Compound({"dice": 0.5, "ce": 2.0}, parts)


def dice_bce(ignore_index: int = 255) -> Compound:
    parts = {"dice": Dice(ignore_index=ignore_index), "bce": BinaryCrossEntropy(ignore_index=ignore_index)}
    return Compound({"dice": 0.5, "bce": 2.0}, parts)


def overlaps(ignore_index: int = 255) -> Compound:
    kinds = {"tversky": Tversky, "lovasz": Lovasz, "boundary": Boundary, "cldice": ClDice}
    parts = {name: kind(ignore_index=ignore_index) for name, kind in kinds.items()}
    return Compound({"tversky": 1, "lovasz": 0.5, "boundary": 0.25, "cldice": 2}, parts)


MAKERS: dict[str, Callable[..., nn.Module]] = {
    "ce": CrossEntropy,
    "ce_weighted_smoothed": partial(CrossEntropy, class_weights=[0.5, 1.0, 3.0], label_smoothing=0.1),
    "focal": Focal,
    "focal_steep": partial(Focal, gamma=0.5, class_weights=[0.5, 1.0, 3.0]),
    "focal_alpha": partial(Focal, alpha=0.25),
    "weighted_ce_2015": WeightedCrossEntropy2015,
    "bce": BinaryCrossEntropy,
    "bce_weighted": partial(BinaryCrossEntropy, region_weights=[0.5, 3.0, 0]),
    "dice": Dice,
    "dice_squared_batch": partial(Dice, include_background=True, squared=True, batch=True, smooth=1e-5),
    "dice_weighted": partial(Dice, class_weights=[0.5, 1.0, 3.0]),
    "generalized_dice": GeneralizedDice,
    "generalized_dice_batch": partial(GeneralizedDice, include_background=False, batch=True, smooth=0.1),
    "tversky": Tversky,
    "tversky_batch": partial(Tversky, alpha=0.0, beta=1.5, include_background=True, batch=True),
    "tversky_weighted_sum": partial(Tversky, class_weights=[0.5, 1.0, 3.0], reduction="sum"),
    "focal_tversky": partial(Tversky, gamma=0.75),
    "lovasz": Lovasz,
    "lovasz_image_all": partial(Lovasz, per_image=True, present_only=False, include_background=True),
    "boundary": Boundary,
    "boundary_background": partial(Boundary, include_background=True),
    "cldice": ClDice,
    "cldice_background": partial(ClDice, iterations=1, smooth=0.1, include_background=True),
    "dice_ce": dice_ce,
    "dice_bce": dice_bce,
    "overlaps": overlaps,
}
LOSSES = {name: make() for name, make in MAKERS.items()}
PAIRS = [(name, kind) for name, loss in LOSSES.items() for kind in loss.target_kinds]
NEIGHBOURHOODS = ("boundary", "cldice", "overlaps")  # where pixels lie matters


def draw(
    kind: str,
    *sizes: int,
    samples: int = 2,
    channels: int = 3,
    ignored: float = 0.2,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, a target with ignored pixels (of regions: other ones for each region), and a weight."""
    generator = torch.Generator().manual_seed(7)
    logits = 3 * torch.randn((samples, channels, *sizes), generator=generator, dtype=dtype)
    shape, values = ((samples, *sizes), channels) if kind == "classes" else (logits.shape, 2)
    target = torch.randint(0, values, shape, generator=generator)
    target[torch.rand(shape, generator=generator) < ignored] = 255
    weight = torch.rand((samples, *sizes), generator=generator, dtype=dtype) + 0.5
    return logits.requires_grad_(), target, weight


MASKS = ["random", "empty", "full", "one sample empty", "class absent", "one pixel"]


def degenerate(target: Tensor, mask: str) -> Tensor:
    """Turn random classes (B, *S) into a mask of this name."""
    target = target.clone()
    if mask == "empty":
        target.zero_()
    if mask == "full":
        target.fill_(2)
    if mask == "one sample empty":
        target[1] = 0
    if mask == "class absent":
        target[target == 1] = 0
    if mask == "one pixel":
        target.zero_().view(-1)[3] = 1
    return target


def assert_same_value_and_gradient(ours: Tensor, theirs: Tensor, logits: Tensor, rtol: float | None = None) -> None:
    atol = None if rtol is None else rtol * 1e-2
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)
    mine, other = torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits)
    torch.testing.assert_close(mine, other, rtol=rtol, atol=atol)
