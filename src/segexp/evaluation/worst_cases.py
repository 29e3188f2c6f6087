"""Pictures of the cases that were predicted worst."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from segexp.evaluation.rescoring import LabelScorer
from segexp.metrics import CaseScores, case_means, certain_probs
from segexp.pictures.figures import draw_case, save_picture
from segexp.pictures.sheets import sheet


def worst_cases(
    rows: Sequence[CaseScores], metric: str, count: int, higher_is_better: bool = True
) -> list[tuple[int, float]]:
    """Numbers and scores of the cases with the worst scores, the worst first.

    Args:
        rows: Scores of each case and class.
        metric: Metric that ranks the cases: its mean over the classes that are defined in a case; undefined cases are
            left out.
        count: Maximum number of cases.
        higher_is_better: Whether a higher score is the better one.
    """
    scores = [(case, mean) for case, mean in case_means(rows, metric).items() if not math.isnan(mean)]
    sign = 1 if higher_is_better else -1
    return sorted(scores, key=lambda pair: (sign * pair[1], pair[0]))[:count]


def draw_worst(
    folder: Path,
    split: str,
    metric: str,
    worst: Sequence[tuple[int, float]],
    scorer: LabelScorer,
    labels: Sequence[np.ndarray],
) -> Path:
    """Draw each of these cases, and all of them on one contact sheet; of a volume the slice with most wrong voxels.

    Args:
        folder: Folder for ``<split>_<case>.png`` and ``worst.png``.
        split: Name of the split.
        metric: Name of the metric.
        worst: Numbers and scores of the cases.
        scorer: Scorer of the cases of that split.
        labels: Predicted labels of all cases of that split.

    Returns:
        Path to the contact sheet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    classes = scorer.num_classes if scorer.regions is None else None
    strips = []
    for number, score in worst:
        case = scorer.cases[number]
        picture = draw_labels(case.image, scorer.targets[number].numpy(), labels[number], classes)
        save_picture(folder / f"{split}_{case.name.replace('/', '_')}.png", picture)
        strips.append((f"{case.name}   {metric} {round(score, 4) + 0.0:.4f}", picture))
    path = folder / "worst.png"
    save_picture(path, sheet(strips))
    return path


def draw_labels(image: np.ndarray, target: np.ndarray, labels: np.ndarray, classes: int | None) -> np.ndarray:
    """Draw input, truth, prediction and error side by side; of a volume the slice with most wrong voxels.

    Args:
        image: (C, *S).
        target: (*S) class indices, or (R, *S) overlapping regions.
        labels: Predicted labels in the shape of the target.
        classes: Number of classes, background included; None = regions.
    """
    probs = certain_probs(torch.from_numpy(labels.astype(np.int64)), classes)
    return draw_case(*_plane(image, target, probs.numpy()))


def _plane(image: np.ndarray, target: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a volume down to the slice, still (…, 1, H, W), that has most wrong voxels; an image stays as it is."""
    image = image.astype(np.float32)
    if maps.ndim == 3:
        return image, target, maps
    if target.ndim == maps.ndim:
        wrong = ((maps > 0.5) != (target == 1)) & (target != 255)
    else:
        wrong = ((maps.argmax(0) != target) & (target != 255))[None]
    place = int(wrong.sum((0, 2, 3)).argmax())
    shown = slice(place, place + 1)
    return image[:, shown], target[..., shown, :, :], maps[:, shown]
