"""A network whose outputs come in a dict, tuple or list, as one that gives logits."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate

_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


class Select(nn.Module):
    """Takes the logits out of what another network gives.

    Args:
        network: Network from an image (B, C, *S) to a dict, tuple, list, or a tensor.
        output: Key or position of the logits (B, K, *S); None = what the network gives is the logits.
        deep: Keys or positions of further logits for training (deep supervision), the finest first.
        resize: Whether to interpolate the logits linearly to the size of the image, for networks that give smaller
            ones.

    Attributes:
        heads: Number of outputs of ``forward(image, every_head=True)``.

    Raises:
        ValueError: The network gives nothing of that name; names those that there are.
    """

    def __init__(
        self,
        network: nn.Module,
        output: str | int | None = "out",
        deep: Sequence[str | int] = (),
        resize: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.output = output
        self.deep = list(deep)
        self.resize = resize
        self.heads = 1 + len(self.deep)

    def forward(self, image: Tensor, every_head: bool = False) -> Tensor | list[Tensor]:
        """Map image (B, C, *S) to logits (B, K, *S); with ``every_head`` to a list of logits, the finest first."""
        outputs = self.network(image)
        logits = self._one(outputs, self.output)
        if self.resize and logits.shape[2:] != image.shape[2:]:
            logits = interpolate(logits, image.shape[2:], mode=_LINEAR[image.ndim], align_corners=False)
        return [logits, *(self._one(outputs, key) for key in self.deep)] if every_head else logits

    def _one(self, outputs: Any, key: str | int | None) -> Tensor:
        if key is None:
            return outputs  # type: ignore[no-any-return]  # whether these are logits is checked where it is adapted
        there = list(outputs) if hasattr(outputs, "keys") else range(len(outputs))
        if key not in there:
            name = type(self.network).__name__
            raise ValueError(f"output={key!r}: {name} gives no such output: choose one of {list(there)}")
        return outputs[key]  # type: ignore[no-any-return]
