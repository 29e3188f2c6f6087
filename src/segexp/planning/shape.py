"""Choices of shape: axes, spacing, patch, levels of the network."""

from collections.abc import Sequence
from math import prod

from segexp.errors import times
from segexp.planning.draft import MEMORY_SHARE, Draft

THICK = 8.0  # fold by which slices are thicker than their pixels are wide, from where on they are learned one by one
FEWEST_SLICES = 12  # of a volume that is learned as one
THINNEST = 3.5  # pixels that structures keep after down-sampling
UNHARMED = 16.0  # pixels of structures whose borders weigh little
SHOWN = 0.25  # fraction of a case from where on a patch shows enough around a structure
STEPS = 1500  # optimizer steps that a training should have at least; fewer leave the schedule no time
REFERENCE = 16  # base channels of the network whose speed decides on the patch
BATCH = {2: 8, 3: 4}  # patches
AREAS = {2: (128**2, 512**2), 3: (32**3, 160**3)}  # least and most pixels of a patch
TRIED = {2: [128, 128], 3: [40, 40, 40]}  # patch whose speed is measured first
SMALLEST_MAP = 4  # pixels per axis of the deepest level
DEEPEST = 5  # down-samplings
FACTORS = (1, 2, 3, 4, 6, 8, 12, 16)  # of down-sampling


def choose_shape(draft: Draft) -> None:
    """Choose axes, network, spacing, patch, batch and levels."""
    dims = _axes(draft)
    size, spacing = _as_seen(draft, dims)
    option = "unet_3d" if dims == 3 else "unet"
    norm = "instance norm for small batches" if dims == 3 else "batch norm, for batches of 4 and more"
    draft.choose("model", option, f"plain U-Net in {dims}-D: {norm}", group=True)
    pixels = _affordable(draft, dims)
    draft.seen_size, spacing = _spacing(draft, dims, size, spacing, pixels)
    if draft.is_given("model"):
        _patch(draft, spacing, pixels, [[2] * dims] * 4)
        return
    _, strides = levels(_largest_patch(draft.seen_size, spacing, pixels), spacing)
    patch = _patch(draft, spacing, pixels, strides)
    _levels(draft, patch, spacing)


def _axes(draft: Draft) -> int:
    """Choose whether volumes are learned whole or slice by slice."""
    facts = draft.facts
    key = "data.geometry.spatial_dims"
    if facts.axes == 2:
        return 2
    thick = facts.anisotropy >= THICK
    axis = facts.spacing.index(max(facts.spacing)) if thick else facts.size.index(min(facts.size))
    if thick or facts.size[axis] < FEWEST_SLICES:
        why = f"{facts.anisotropy:.3g} times as thick as their pixels are wide" if thick else "few in a volume"
        dims = int(draft.choose(key, 2, f"slices are {why}: they are learned one by one"))
        if dims == 2:
            draft.choose("data.geometry.slice_axis", axis, f"the axis of {facts.size[axis]} slices")
            draft.choose("data.geometry.context", 1, "the neighboring slices as further channels (2.5-D)")
        return dims
    why = f"volumes of {times(facts.size)} voxels of {times(facts.spacing)} {facts.unit}"
    return int(draft.choose(key, 3, f"{why}: learned as volumes"))


def _as_seen(draft: Draft, dims: int) -> tuple[list[int], list[float]]:
    """Median size and spacing along the axes that the network sees."""
    facts = draft.facts
    axis = int(draft.value("data.geometry.slice_axis", 0))
    kept = [n for n in range(facts.axes) if facts.axes == dims or n != axis]
    return [facts.size[n] for n in kept], [facts.spacing[n] for n in kept]


def _affordable(draft: Draft, dims: int) -> float:
    """Pixels of a patch with which the reference network makes enough steps in the time."""
    tried, batch = TRIED[dims], BATCH[dims]
    small = [f"data.sampling.patch_size=[{','.join(map(str, tried))}]", f"data.sampling.batch_size={batch}"]
    if not draft.is_given("model"):
        small.append(f"model.base_channels={REFERENCE}")
    cost = draft.cost(*small)
    in_time = prod(tried) / cost.seconds * draft.training_seconds / STEPS
    # In memory, a network of twice the channels should fit as well.
    in_memory = prod(tried) * MEMORY_SHARE * draft.machine.memory / (2 * cost.memory)
    least, most = AREAS[dims]
    return min(max(min(in_time, in_memory), least), most)


def _spacing(
    draft: Draft, dims: int, size: list[int], spacing: list[float], pixels: float
) -> tuple[list[int], list[float]]:
    """Choose the spacing, where axes that are coarse already stay as they are; return the median size, and it."""
    facts = draft.facts
    key = "data.geometry.spacing"
    seen = {}
    for factor in FACTORS:
        coarse = [max(one, factor * min(spacing)) for one in spacing]
        seen[factor] = coarse, [max(1, round(n * a / b)) for n, a, b in zip(size, spacing, coarse, strict=True)]
    kept = UNHARMED if pixels >= SHOWN * prod(size) else THINNEST
    allowed = [factor for factor in FACTORS if factor == 1 or facts.width / factor >= kept]
    enough = [factor for factor in allowed if prod(seen[factor][1]) <= 1.25 * pixels]
    factor = enough[0] if enough else allowed[-1]
    if draft.is_given(key) or (factor == 1 and not facts.spacings_differ):
        return size, spacing
    coarse, coarse_size = seen[factor]
    every = coarse
    if dims < facts.axes:
        axis = int(draft.value("data.geometry.slice_axis", 0))
        every = [*coarse[:axis], facts.spacing[axis], *coarse[axis:]]
    why = "the median: the cases differ"
    if factor > 1:
        why = (
            f"{factor} times as coarse as the files: a patch shows {factor} times as much, and structures about "
            f"{facts.width:.0f} px wide keep {facts.width / factor:.1f}"
        )
    if facts.unit == "px":  # the files tell no size: the spacing counts their pixels
        every = [one / own for one, own in zip(every, facts.spacing, strict=True)]
        draft.choose("data.geometry.spacing_unit", "px", "the files tell no size of a pixel")
    draft.choose(key, [round(one, 4) for one in every], why)
    return coarse_size, coarse


def _largest_patch(size: Sequence[int], spacing: Sequence[float], pixels: float) -> list[int]:
    """Largest patch within the median case that has so many pixels, of even sides in space as far as the case is."""
    patch = [float(n) for n in size]
    while prod(patch) > 1.05 * pixels:
        # The longest side in space is cut first.
        longest = max(range(len(patch)), key=lambda axis: patch[axis] * spacing[axis])
        patch[longest] *= 0.95
    return [max(1, round(n)) for n in patch]


def _patch(draft: Draft, spacing: Sequence[float], pixels: float, strides: Sequence[Sequence[int]]) -> list[int]:
    """Choose the patch: the median case where it is affordable; each side one that the levels halve evenly."""
    size = draft.seen_size
    wanted = _largest_patch(size, spacing, pixels)
    steps = [prod(stride[axis] for stride in strides) for axis in range(len(size))]
    patch = [max(step, -(-n // step) * step) for n, step in zip(wanted, steps, strict=True)]
    # Up to the next even side where the median case is whole, else to the nearest.
    cut = [axis for axis in range(len(size)) if wanted[axis] < size[axis]]
    for axis in cut:
        patch[axis] = max(steps[axis], round(wanted[axis] / steps[axis]) * steps[axis])
    why = f"the median case ({times(size)}), nothing is cut"
    if cut:
        why = f"a part of the median case ({times(size)}), of which {STEPS:,} steps are affordable"
    chosen = draft.choose("data.sampling.patch_size", patch, why)
    draft.choose("data.sampling.mirror_margin", "auto", "smaller cases are mirrored up to the patch")
    return [int(n) for n in chosen]


def levels(patch: Sequence[int], spacing: Sequence[float]) -> tuple[int, list[list[int]]]:
    """Number of down-samplings and the stride of each axis: thick axes wait until the others are as coarse.

    Args:
        patch: Pixels per axis.
        spacing: Size of a pixel per axis.

    Source: the rule of nnU-Net (Isensee et al. 2021).
    """
    size, pixel = [float(n) for n in patch], [float(one) for one in spacing]
    strides: list[list[int]] = []
    while len(strides) < DEEPEST:
        long = [n / 2 >= SMALLEST_MAP for n in size]
        if not any(long):
            break
        finest = min(one for one, halved in zip(pixel, long, strict=True) if halved)
        stride = [2 if halved and one <= 2 * finest else 1 for halved, one in zip(long, pixel, strict=True)]
        strides.append(stride)
        size = [n / s for n, s in zip(size, stride, strict=True)]
        pixel = [one * s for one, s in zip(pixel, stride, strict=True)]
    return len(strides), strides or [[2] * len(patch)]


def _levels(draft: Draft, patch: Sequence[int], spacing: Sequence[float]) -> None:
    depth, strides = levels(patch, spacing)
    depth = max(depth, 1)
    deepest = [n // prod(stride[axis] for stride in strides) for axis, n in enumerate(patch)]
    draft.choose("model.depth", depth, f"the deepest map of a patch is {times(deepest)}")
    if any(1 in stride for stride in strides):
        told = f"spacing {times(spacing)}: an axis waits until the others are as coarse, or is too short to halve"
        draft.choose("model.strides", strides, told)
        draft.choose("model.kernels", _kernels(strides, spacing), "no convolution across slices before that")


def _kernels(strides: Sequence[Sequence[int]], spacing: Sequence[float]) -> list[list[int]]:
    """Kernel of each level and axis: 1 across pixels that are more than twice as long as the finest."""
    pixel = list(spacing)
    kernels = []
    for stride in [*strides, [1] * len(spacing)]:
        finest = min(pixel)
        kernels.append([1 if one > 2 * finest else 3 for one in pixel])
        pixel = [one * s for one, s in zip(pixel, stride, strict=True)]
    return kernels
