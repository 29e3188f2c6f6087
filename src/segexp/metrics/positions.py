"""Where along an organ a volume is scored: counts of its slices in ten bins, from its first slice to its last."""

import torch
from torch import Tensor

BINS = 10
ENDS = (0, 1, 8, 9)  # bins: the first and the last fifth
MIDDLE = (2, 3, 4, 5, 6, 7)
HIT, INVENTED, MISSED, REST, SLICES, SLICES_INVENTED, SLICES_MISSED = range(7)  # columns of the counts
COUNTS = 7
NO_SLICES = -1  # in the place of the slices of an image


def slice_count(shape: torch.Size) -> int:
    """Number of slices of a case (*S); 1 of an image, and of a volume that has no other."""
    return shape[0] if len(shape) > 2 else 1


def count_by_position(counts: Tensor) -> Tensor:
    """Add up the counts of slices by their relative position along what they show.

    Of the n slices that truth or prediction of a class occupy, number r = 0, 1, … n - 1 lies at (r + 1/2) / n, and
    counts in the tenth that this falls into; with fewer than ten slices, some tenths have none.

    Args:
        counts: (B, D, K, 4) int64, true positives, false positives, false negatives and true negatives of each slice
            and class or region.

    Returns:
        (B, K, 1 + 10, 7) int64: of the whole case, then of each tenth, the four counts, the slices that the class
        occupies, those of them where it is invented (no truth) and where it is missed (no prediction). Of images,
        D = 1, no slices are counted, and the whole case has -1 in their places.
    """
    device, depth = counts.device, counts.shape[1]
    counts = counts.transpose(1, 2).cpu()  # (B, K, D, 4); small, and integers cannot be scattered on every device
    batch, parts = counts.shape[:2]
    whole = torch.full((batch, parts, 1, COUNTS), NO_SLICES, dtype=torch.int64)
    whole[..., :SLICES] = counts.sum(dim=2, keepdim=True)
    tenths = torch.zeros((batch, parts, BINS, COUNTS), dtype=torch.int64)
    if depth > 1:
        found, true = counts[..., HIT] + counts[..., INVENTED] > 0, counts[..., HIT] + counts[..., MISSED] > 0
        occupied = found | true
        marks = torch.stack([occupied, occupied & ~true, occupied & ~found], dim=-1)
        measured = torch.cat([counts, marks.long()], dim=-1)
        rank, number = occupied.cumsum(dim=2) - 1, occupied.sum(dim=2, keepdim=True)
        place = torch.where(occupied, (2 * rank + 1) * BINS // (2 * number).clamp(min=1), BINS)
        sums = torch.zeros((batch, parts, BINS + 1, COUNTS), dtype=torch.int64)  # the last one of empty slices
        sums.scatter_add_(2, place.unsqueeze(-1).expand_as(measured), measured)
        tenths = sums[:, :, :BINS]
        whole[..., SLICES:] = tenths[..., SLICES:].sum(dim=2, keepdim=True)
    return torch.cat([whole, tenths], dim=2).to(device)
