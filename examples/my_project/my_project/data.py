"""Bright discs on noise: as any Dataset of torch, and as a source in segexp's contract."""

import numpy as np
from torch.utils.data import Dataset

from segexp.data import Case, Entry


def draw(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image and its mask, (size, size) uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    center = rng.uniform(size / 4, size * 3 / 4, 2)
    mask = np.hypot(rows - center[0], columns - center[1]) < size / 5
    image = rng.normal(100, 20, mask.shape) + 80 * mask
    return image.clip(0, 255).astype(np.uint8), mask.astype(np.uint8)


class DiscPairs(Dataset):
    """Pairs of image and mask."""

    def __init__(self, count: int = 20, size: int = 48) -> None:
        self.count = count
        self.size = size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return draw(index, self.size)


class Discs:
    """Cases with names, patients and the size of a pixel."""

    def __init__(self, count: int = 20, size: int = 48) -> None:
        self.count = count
        self.size = size

    def prepare(self) -> None:
        """There is nothing to download."""

    def entries(self) -> list[Entry]:
        """List the cases, two of each patient."""
        return [Entry(f"disc_{index}", group=f"patient_{index // 2}") for index in range(self.count)]

    def read(self, name: str) -> Case:
        """Draw a case."""
        image, mask = draw(int(name.removeprefix("disc_")), self.size)
        return Case(name, image[None], mask, spacing=(0.5, 0.5), spacing_unit="mm")
