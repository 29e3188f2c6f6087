"""``segexp preview``: a contact sheet of training patches before and after augmentation."""

from pathlib import Path
from typing import Any, cast

import numpy as np
from omegaconf import DictConfig

from segexp.build import build_data
from segexp.config import plain
from segexp.data import Augment
from segexp.errors import require_at_least
from segexp.pictures.figures import save_picture
from segexp.pictures.sheets import draw_sheet
from segexp.runs.configuration import Config

Pair = tuple[np.ndarray, np.ndarray]


class PreviewConfig(Config):
    """Further keys of conf/preview.yaml."""

    patches: int
    draws: int
    path: str


def preview(cfg: DictConfig) -> None:
    """Draw the first patches of epoch 0, each as it is cut and after several draws, and print where the sheet lies.

    Raises:
        ValueError: The configuration or the data do not fit; the sentence names value, rule and remedy.
    """
    config = cast(PreviewConfig, plain(cfg))
    require_at_least("patches", config["patches"], 1, integer=True)
    require_at_least("draws", config["draws"], 1, integer=True)
    data = build_data(config)
    data.prepare_data()
    data.setup()
    dataset: Any = data.train_dataloader().dataset
    tap = dataset.augment = _Tap(dataset.augment, config["draws"])
    rows = [tap.pairs(dataset, position) for position in range(config["patches"])]
    path = Path(config["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    save_picture(path, draw_sheet(rows, ["before", *[f"draw {i + 1}" for i in range(config["draws"])]]))
    print(path)


class _Tap:
    """Stands in for the augmentation of a dataset and keeps what goes in and comes out; draw 1 is that of training."""

    def __init__(self, augment: Augment, draws: int) -> None:
        self.augment = augment
        self.draws = draws
        self.seen: list[Pair] = []

    def pairs(self, dataset: Any, position: int) -> list[Pair]:
        """Image and mask of one patch: before, then each draw."""
        dataset[0, position]
        return self.seen

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator, spacing: Any
    ) -> Any:
        self.seen = [(image, mask), *[self.augment(image, mask, weight, rng, spacing)[:2] for _ in range(self.draws)]]
        return image, mask, weight
