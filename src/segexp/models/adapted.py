"""Any module from images to logits as a ``Network``: what it does not tell of itself is found by running it once."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from torch import Tensor, nn

from segexp.models.network import Network
from segexp.models.probe import bring_into_being
from segexp.models.sizes import EvenSizes, crop_end, pad_end
from segexp.models.taken_sizes import TakenSizes
from segexp.models.trial import Trial, parameters_of


class Adapted(Network):
    """A module that takes images of some sizes, for images of any size.

    The image is padded at its end to a size that the module takes, by repeating its last pixels, and the logits are
    cropped. Tensors are named in ``state_dict`` as those of the module alone.

    Args:
        network: Module from an image (B, C, *S) to logits (B, K, *S'), S' less by the margin on each side.
        sizes: Sizes that it takes.
        patch_size: Another size that it takes; None = none.

    Attributes:
        network: The module.
    """

    margin: int
    even_sizes: EvenSizes

    def __init__(self, network: nn.Module, sizes: TakenSizes, patch_size: Sequence[int] | None = None) -> None:
        super().__init__()
        self.network = network
        self.margin = sizes.margin
        self.even_sizes = sizes.even_sizes
        self.patch_size = tuple(patch_size or ())
        # An attribute `heads` alone may be of attention.
        self.heads = int(getattr(network, "heads", 1)) if "every_head" in parameters_of(network.forward) else 1
        self.register_load_state_dict_pre_hook(_with_prefix)  # type: ignore[no-untyped-call]

    def forward(self, image: Tensor, every_head: bool = False) -> Tensor | list[Tensor]:
        """Map image (B, C, *S) to logits (B, K, *S'); with ``every_head`` to a list of them, the finest first."""
        size = tuple(image.shape[2:])
        taken = size if size == self.patch_size else tuple(self.even_sizes.at_least(side) for side in size)
        image = pad_end(image, taken)
        if not every_head:
            return self._cropped(self.network(image), size, taken)
        heads = self.network(image, every_head=True) if self.heads > 1 else [self.network(image)]
        return [self._cropped(logits, size, taken) for logits in heads]

    def _cropped(self, logits: Tensor, size: Sequence[int], taken: Sequence[int]) -> Tensor:
        """Crop what belongs to the padding, of smaller heads in proportion."""
        if size == taken:
            return logits
        wanted = [
            -(-(side - 2 * self.margin) * have // (full - 2 * self.margin))
            for side, full, have in zip(size, taken, logits.shape[2:], strict=True)
        ]
        return crop_end(logits, wanted)

    def receptive_field(self) -> int | None:
        """Width in pixels of what a logit depends on, if the module tells it."""
        tells = getattr(self.network, "receptive_field", None)
        return tells() if callable(tells) else None

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Tensors by name, as the module itself names them."""
        return self.network.state_dict(*args, **kwargs)


def _with_prefix(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        state[f"{prefix}network.{name[len(prefix) :]}"] = state.pop(name)


def own_module(network: nn.Module) -> nn.Module:
    """Return the module itself, without what made it a ``Network``."""
    return network.network if isinstance(network, Adapted) else network


def adapted(network: Any, in_channels: int, outputs: int, patch_size: Sequence[int]) -> Network:
    """Return a network as it is, any other module as one.

    A module tells the sizes that it takes by attributes ``even_sizes`` and ``margin``, or is run on some (in evaluation
    mode, by shapes alone where it can be); one whose ``forward`` has an argument ``every_head`` tells by ``heads`` how
    many outputs it then gives.

    Args:
        network: Module from an image (B, C, *S) to logits (B, K, *S'), on the CPU.
        in_channels: Number of channels of the image.
        outputs: Number of logits per pixel, K.
        patch_size: Size *S of training patches.

    Raises:
        ValueError: It is no module, does not take such images, or does not give one tensor of such logits.
    """
    if isinstance(network, Network) and hasattr(network, "even_sizes"):
        return network
    if not isinstance(network, nn.Module):
        raise ValueError(f"model: {type(network).__name__} is no torch.nn.Module: name a class of networks in _target_")
    trial = Trial(network, in_channels, outputs, tuple(patch_size))
    with suppress(Exception):  # the runs that follow tell what is wrong
        bring_into_being(network, (in_channels, *patch_size))
    told = getattr(network, "even_sizes", None)
    if isinstance(told, EvenSizes):
        return Adapted(network, TakenSizes(getattr(network, "margin", 0), told))
    trial.require_logits()
    trial.require_same_in_training()
    lacks = trial.lacking(patch_size)  # while shapes alone do
    sizes = trial.sizes()
    takes_patch = lacks is not None and (sizes is None or lacks == 2 * sizes.margin)
    if sizes is None:
        if lacks != 0:
            raise ValueError(trial.wrong_size())
        sizes = TakenSizes(0, EvenSizes(max(patch_size), 0))
    return Adapted(network, sizes, patch_size if takes_patch else None)
