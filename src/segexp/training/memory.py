"""Out of memory, in one sentence: what was asked for, and which overrides would help."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from segexp.runs.configuration import Config

SIZE = re.compile(r"llocate ([\d.]+ ?\w*)")  # in the words of CUDA, of PyTorch's CPU allocator, and of NumPy
MOST_REMEDIES = 3


@contextmanager
def memory_told(config: Config) -> Iterator[None]:
    """Inside, running out of memory is told with what helps.

    Raises:
        ValueError: Memory ran out; names what was asked for, and three overrides.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_of_memory(error):
            raise
        scoring = any(frame.name == "_score" for frame in traceback.extract_tb(error.__traceback__))
        asked, remedies = _scoring(config) if scoring else _training(config)
        found = SIZE.search(str(error))
        size = f"asked for {_readable(found[1])}, which is not" if found else "needs more memory than is"
        *first, last = remedies[:MOST_REMEDIES]
        raise ValueError(f"out of memory: {asked} {size} free; take {', '.join(first)} or {last}") from error


def is_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: of a GPU, one of its libraries, PyTorch's CPU allocator, or Python.

    oneDNN says no more than that it could not make what it needs to compute.
    """
    words = ("DefaultCPUAllocator", "STATUS_ALLOC_FAILED", "could not create a primitive", "could not create a memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in str(error) for word in words)


def _training(config: Config) -> tuple[str, list[str]]:
    sampling: Any = config["data"]["sampling"]
    batch, patch = sampling["batch_size"], list(sampling["patch_size"])
    remedies = []
    if batch > 1:
        every = 2 * config["trainer"]["accumulate_grad_batches"]
        remedies.append(f"data.sampling.batch_size={batch // 2} with trainer.accumulate_grad_batches={every}")
    if dict(config["model"]).get("checkpointing") is False:
        remedies.append("model.checkpointing=true")
    remedies.append(f"data.sampling.patch_size={[max(1, size // 2) for size in patch]}")
    return f"a training step on {batch} patches of {patch}", [*remedies, *_smaller(config)]


def _scoring(config: Config) -> tuple[str, list[str]]:
    predictor: Any = config["inference"]["predictor"]
    tile, batch = predictor.get("tile"), predictor.get("batch_size", 1)
    remedies = []
    if batch > 1:
        remedies.append(f"inference.predictor.batch_size={batch // 2}")
    smaller = [max(1, size // 2) for size in tile] if tile else list(config["data"]["sampling"]["patch_size"])
    remedies.append(f"inference.predictor.tile={smaller}")
    asked = f"predicting a whole case by {batch} tiles of {list(tile)}" if tile else "predicting a whole case at once"
    return asked, [*remedies, *_smaller(config)]


def _smaller(config: Config) -> list[str]:
    """Overrides that help everywhere."""
    remedies = ["trainer.precision=bf16-mixed"] if config["trainer"]["precision"] == "32-true" else []
    model: dict[str, Any] = dict(config["model"])
    channels = model.get("base_channels")
    return [*remedies, f"model.base_channels={channels // 2}" if channels else "a smaller model"]


def _readable(size: str) -> str:
    """Bytes, which PyTorch's CPU allocator tells without a unit, in GiB."""
    return f"{int(size.split()[0]) / 2**30:.1f} GiB" if re.fullmatch(r"\d+( bytes)?", size) else size
