"""Batch norms that normalize by the case at hand, so that a scan of another scanner looks as those of the training."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from segexp.errors import require_between
from segexp.inference.ensemble import Around, Ensemble, Predictor
from segexp.inference.probabilities import Network

REMEDY = "nothing there depends on the training set's statistics; leave adapt at 0, or train with model.norm=batch"


@contextmanager
def adapted(network: Network | Ensemble, weight: float, see: Callable[[], object]) -> Iterator[None]:
    """Let the batch norms of networks in eval mode normalize by the statistics of a case, and put them back at the end.

    Each norm takes (1 - weight) times mean and variance of the training plus weight times those of its input over all
    that ``see`` shows to the networks. While it is being shown, statistics are those of what was seen until then, so
    that later norms see what earlier ones make of it.

    Args:
        network: Network, or several, each with at least one batch norm that keeps statistics.
        weight: Weight of the case, from 0 (as trained) to 1 (by the case alone).
        see: Function that predicts the case once; what it returns is dropped.

    Raises:
        ValueError: The weight is out of range, or a network has no such norm.

    Source: Schneider et al. 2020 (arXiv:2006.16971), whose weight is n / (N + n) with N of the training's pseudo-cases.
    """
    require_between("adapt", weight, 0, 1, "it is the weight of a case's own statistics")
    with ExitStack() as stack:
        statistics = [_Statistics(norm, weight) for norm in _norms(network)] if weight else []
        for each in statistics:
            stack.callback(each.restore)
        if statistics:
            with torch.inference_mode(), ExitStack() as seeing:
                for each in statistics:
                    seeing.enter_context(each.watching())
                see()
        yield


def _norms(network: Network | Ensemble) -> list[_BatchNorm]:
    """Batch norms that keep statistics, each once; every network must have one."""
    found: dict[_BatchNorm, None] = {}
    for one in Ensemble.of(network).networks:
        module: Any = getattr(one, "network", one)  # behind one that chooses channels
        norms = [each for each in module.modules() if isinstance(each, _BatchNorm) and each.running_mean is not None]
        if not norms:
            name = type(module).__name__
            raise ValueError(f"adapt: {name} has no batch norm that keeps statistics of the training: {REMEDY}")
        found |= dict.fromkeys(norms)
    return list(found)


class _Statistics:
    """Mean and variance of a norm's input over all that it sees, mixed with those of the training."""

    def __init__(self, norm: _BatchNorm, weight: float) -> None:
        self.norm = norm
        self.weight = weight
        self.trained = self._buffers[0].clone(), self._buffers[1].clone()
        self.count = 0
        self.mean = self.squares = torch.zeros((), dtype=torch.float64)

    @property
    def _buffers(self) -> tuple[Tensor, Tensor]:
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None  # noqa: PT018  # as _norms chose them
        return mean, variance

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Add all that passes the norm."""
        handle = self.norm.register_forward_pre_hook(self._add)
        try:
            yield
        finally:
            handle.remove()

    def _add(self, _: object, inputs: Sequence[Tensor]) -> None:
        x = inputs[0].detach().float()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        variance, mean = (each.cpu().double() for each in torch.var_mean(x, axes, correction=0))
        # Counts, means and squared differences of two parts are those of the whole (Chan et al. 1979).
        count = x.numel() // x.shape[1]
        total = self.count + count
        difference = mean - self.mean
        self.squares = self.squares + variance * count + difference**2 * (self.count * count / total)
        self.mean = self.mean + difference * (count / total)
        self.count = total
        case = self.mean, self.squares / total
        for buffer, trained, seen in zip(self._buffers, self.trained, case, strict=True):
            buffer.copy_(trained + self.weight * (seen.to(trained) - trained))

    def restore(self) -> None:
        """Put the statistics of the training back."""
        for buffer, trained in zip(self._buffers, self.trained, strict=True):
            buffer.copy_(trained)


@dataclass(frozen=True)
class AdaptivePredictor(Around):
    """Predicts each image by networks whose batch norms were adapted to it; takes twice the time.

    Args:
        predictor: Predictor of a network or ensemble.
        weight: Weight of the image's statistics against those of the training, from 0 to 1.

    Raises:
        ValueError: The weight is out of range; at a call: a network has no batch norm that keeps statistics.
    """

    predictor: Predictor
    weight: float = 1.0

    def __post_init__(self) -> None:
        require_between("adapt", self.weight, 0, 1, "it is the weight of a case's own statistics")

    def __call__(self, network: Network | Ensemble, image: Tensor) -> Tensor:
        """Return the probabilities (B, K, *S) of images (B, C, *S), each adapted to on its own."""
        probs = []
        for one in image.split(1):
            with adapted(network, self.weight, lambda one=one: self.predictor(network, one)):  # type: ignore[misc]
                probs.append(self.predictor(network, one))
        return torch.cat(probs)
