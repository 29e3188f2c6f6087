"""``segexp benchmark data``: patches per second of every augmentation with several numbers of workers."""

import csv
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from segexp.build import build_data
from segexp.config import plain
from segexp.data import DataModule
from segexp.errors import require_at_least, require_choice

Cell = dict[str, Any]


def benchmark(cfg: DictConfig) -> None:
    """Measure the subject, print a table and write it as CSV.

    Raises:
        ValueError: The configuration or the data do not fit; the sentence names value, rule and remedy.
    """
    config = plain(cfg)
    require_choice("subject", config["subject"], SUBJECTS)
    SUBJECTS[config["subject"]](config)


def _data(config: dict[str, Any]) -> None:
    for workers in config["workers"]:
        require_at_least("workers", workers, 0, whole=True)
    require_at_least("seconds", config["seconds"], 0.01)
    data = build_data(config)
    data.prepare_data()
    data.setup()
    data.patches_per_epoch = 10**9  # no cell meets the end of an epoch
    cells = []
    for preset in _presets():
        for workers in config["workers"]:
            cells.append(_measure(data, preset, workers, config["seconds"]))
    _print(cells, config)
    path = Path(config["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(cells[0]))
        writer.writeheader()
        writer.writerows(cells)
    print(path)


def _presets() -> list[str]:
    """Names of all presets of augment, those of ``--config-dir`` too."""
    loader = GlobalHydra.instance().config_loader()
    return sorted(loader.get_group_options("augment", ObjectType.CONFIG))


def _measure(data: DataModule, preset: str, workers: int, seconds: float) -> Cell:
    """Time one cell; a preset that is not for these data says why in ``note``."""
    cell: Cell = {"augment": preset, "workers": workers, "patches_per_second": None, "note": ""}
    node = OmegaConf.to_container(compose("train", [f"augment={preset}"]).augment, resolve=True)
    try:
        data.augment, data.num_workers = instantiate(node, _convert_="all"), workers
        batches = data.train_dataloader()
        rate = batches_per_second(batches, seconds, skip=2 * workers) * data.batch_size
    except Exception as error:
        cell["note"] = str(error.__cause__ or error).strip().splitlines()[-1]
    else:
        cell["patches_per_second"] = round(rate, 1)
    return cell


def batches_per_second(batches: Iterable[Any], seconds: float, skip: int = 0) -> float:
    """Time a loader.

    Args:
        batches: More of them than fit into the time.
        seconds: How long to count; the batch on hand then is still waited for.
        skip: Batches after the first that are not counted either: what workers have ready before the clock starts.
    """
    stream = iter(batches)
    for _ in islice(stream, 1 + skip):
        pass
    start, count = time.perf_counter(), 0
    for count, _ in enumerate(stream, start=1):  # noqa: B007
        if time.perf_counter() - start >= seconds:
            break
    return count / (time.perf_counter() - start)


def _print(cells: list[Cell], config: dict[str, Any]) -> None:
    size = " × ".join(map(str, config["data"]["patch_size"]))
    words = [f"{n} worker" + "s" * (n != 1) for n in config["workers"]]
    table = Table("augment", *words, title=f"patches per second, {size} pixels")
    rates = {(cell["augment"], cell["workers"]): cell["patches_per_second"] for cell in cells}
    for preset in dict.fromkeys(cell["augment"] for cell in cells):
        row = [rates[preset, workers] for workers in config["workers"]]
        table.add_row(preset, *["–" if rate is None else f"{rate:.0f}" for rate in row])
    console = Console()
    console.print(table)
    for preset, note in dict.fromkeys((cell["augment"], cell["note"]) for cell in cells if cell["note"]):
        console.print(f"{preset}: {note}", soft_wrap=True, highlight=False)


SUBJECTS = {"data": _data}
