"""What a loader hands over: patches to learn from, whole cases to score."""

from typing import NotRequired, TypedDict

from torch import Tensor


class Batch(TypedDict):
    """Patches: image (B, C, *S), target (B, *S) or (B, R, *S) of regions, and weight (B, *S) where a loss needs one."""

    image: Tensor
    target: Tensor
    weight: NotRequired[Tensor]


class CaseBatch(Batch):
    """One whole case, with its number, name and pixel size, and instances (B, *S) where its objects are numbered."""

    case_index: Tensor
    name: list[str]
    spacing: Tensor
    instances: NotRequired[Tensor]


def counted(batch: CaseBatch) -> bool:
    """Whether a case counts: a process without a case of its own gets one of another's, numbered -1."""
    return int(batch["case_index"][0]) >= 0
