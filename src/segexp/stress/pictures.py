"""Pictures of a stress test: a typical case in every severity, and the worst case of each corruption."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from skimage.segmentation import find_boundaries

from segexp.data.prepared import target_of, target_tensor
from segexp.evaluation.worst_cases import draw_labels
from segexp.metrics import certain_probs
from segexp.pictures.figures import enlarged, layers, save_picture, three_channels, tinted, to_uint8
from segexp.postprocessing.postprocess import Steps
from segexp.runs.stress import StressResults
from segexp.stress.journal import CLEAN, Key
from segexp.stress.scan import Scan
from segexp.stress.scoring import Plan, predict_copies

if TYPE_CHECKING:
    from segexp.evaluation.evaluation import Evaluation
    from segexp.evaluation.one_by_one import Scored

LEAST, MOST = 160, 240  # pixels of the width of a panel
GAP = 2  # pixels
WHITE = np.array([255, 255, 255])


@dataclass(frozen=True)
class Gallery:
    """Where the pictures of a stress test lie.

    Attributes:
        folder: Their folder.
        typical: Name of the typical case.
        worst: Name of the worst case of each corruption, and its severity.
    """

    folder: Path
    typical: str
    worst: Mapping[str, tuple[str, int]]

    @classmethod
    def of(cls, folder: Path, typical: str, stress: StressResults) -> "Gallery":
        """Name the pictures of a stress test."""
        severity = stress["severities"][-1]
        worst = {name: (figures["worst"]["case"], severity) for name, figures in stress["corruptions"].items()}
        return cls(folder, typical, worst)

    def panel(self, corruption: str, severity: int) -> Path:
        """Path to the picture of the typical case."""
        return self._path(corruption if severity else CLEAN, severity, self.typical)

    def worst_case(self, corruption: str) -> Path:
        """Path to the picture of the worst case of a corruption."""
        case, severity = self.worst[corruption]
        return self._path(f"worst-{corruption}", severity, case)

    def _path(self, what: str, severity: int, case: str) -> Path:
        return self.folder / f"{what}-{severity}-{case.replace('/', '_')}.png"


def draw_missing(evaluation: "Evaluation", plan: Plan, steps: Steps, gallery: Gallery) -> None:
    """Draw the pictures that are not there yet; their copies are predicted again.

    Args:
        evaluation: Run or ensemble, opened.
        plan: What was scored.
        steps: Steps of post-processing.
        gallery: Where the pictures lie.
    """
    panels: dict[Key, Path] = {(CLEAN, gallery.typical, 0): gallery.panel(CLEAN, 0)}
    worst: dict[Key, Path] = {}
    for name in plan.corruptions:
        panels |= {(name, gallery.typical, severity): gallery.panel(name, severity) for severity in plan.severities}
        case, severity = gallery.worst[name]
        worst[name, case, severity] = gallery.worst_case(name)
    missing = {key for paths in (panels, worst) for key, path in paths.items() if not path.is_file()}
    typical = next(case for case in evaluation.data.read_cases(plan.split) if case.name == gallery.typical)
    scan = Scan.of(typical)
    classes = None if evaluation.data.labels.regions is not None else evaluation.data.labels.num_classes
    turned = evaluation.data.made_ready(typical).original
    place = int(np.argmax(_foreground(target_of(turned)))) if turned.image.ndim == 4 else 0

    def draw(key: Key, scored: "Scored") -> None:
        original = scored.prepared.original
        target = target_tensor(target_of(original), evaluation.data.labels.regions).numpy()
        gallery.folder.mkdir(parents=True, exist_ok=True)
        if key in panels:
            save_picture(panels[key], _panel(original.image, target, scored.labels, classes, scan, place))
        if key in worst:
            save_picture(worst[key], draw_labels(original.image, target, scored.labels, classes))

    predict_copies(evaluation, plan, steps, missing, draw)


def _foreground(target: np.ndarray) -> np.ndarray:
    """Number of foreground voxels of each slice."""
    counts: np.ndarray = ((target > 0) & (target < 255)).sum((1, 2))
    return counts


def _panel(
    image: np.ndarray, target: np.ndarray, labels: np.ndarray, classes: int | None, scan: Scan, place: int
) -> np.ndarray:
    """Draw the image above, and below it the prediction in color with the outline of the truth in white.

    Args:
        image: (C, *S).
        target: (*S) class indices, or (R, *S) overlapping regions.
        labels: Predicted labels in the shape of the target.
        classes: Number of classes, background included; None = regions.
        scan: The clean case, whose window all panels share.
        place: Slice that is shown of a volume, the second axis upwards.
    """
    if image.ndim == 4:
        place = min(place, image.shape[1] - 1)
        image, target, labels = (each[..., place, ::-1, :] for each in (image, target, labels))
    probs = certain_probs(torch.from_numpy(labels.astype(np.int64)), classes).numpy()
    truth, predicted, _ = layers(target, probs)
    low, width = (each.reshape(-1, 1, 1) for each in (scan.low, scan.width))
    gray = to_uint8(three_channels((image - low) / width), np.array([0.0, 1.0]))
    # Narrow images are enlarged before the outline is drawn, so that it stays thin.
    factor = -(-LEAST // gray.shape[1])
    below = tinted(enlarged(gray, factor), enlarged(np.moveaxis(predicted, 0, -1), factor).transpose(2, 0, 1))
    for layer in truth:
        below[find_boundaries(enlarged(layer, factor), mode="inner")] = WHITE
    gap = np.full((GAP, below.shape[1], 3), 255, np.uint8)
    whole = np.concatenate([enlarged(gray, factor), gap, below])
    picture = Image.fromarray(whole)
    picture.thumbnail((MOST, 4 * MOST))
    return np.asarray(picture)
