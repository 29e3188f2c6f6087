"""A loss and its terms by name, of logits and of predicted probabilities."""

from collections.abc import Sequence

from torch import Tensor, nn

from segexp.losses import DeepSupervision
from segexp.models.sizes import center_crop_or_pad
from segexp.training.batches import Batch


def loss_with_terms(
    loss: nn.Module, logits: Tensor, target: Tensor, weight: Tensor | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of logits (B, K, *S), and the terms of a compound one by name, such as ``loss_ce``, unweighted.

    Raises:
        ValueError: The loss is no single number.
    """
    with_terms = getattr(loss, "with_terms", None)
    if with_terms is None:
        value: Tensor = loss(logits, target, weight)
        if value.ndim:
            raise ValueError(
                f"{type(loss).__name__} gives a loss of shape {tuple(value.shape)}, but training needs one number: "
                "take reduction=mean or sum"
            )
        return value, {}
    total, terms = with_terms(logits, target, weight)
    return total, {f"loss_{name}": value.detach() for name, value in terms.items()}


def losses_of_probs(loss: nn.Module, probs: Tensor, target: Tensor, weight: Tensor | None) -> dict[str, Tensor]:
    """Loss and terms of probabilities (B, K, *S), as () float32."""
    # Undo the sigmoid of overlapping regions, which have a target per channel, or the softmax of classes.
    logits = probs.logit(1e-7) if target.ndim == probs.ndim else probs.clamp_min(1e-7).log()
    total, terms = loss_with_terms(loss, logits, target, weight)
    return {name: value.detach().float() for name, value in {"loss": total, **terms}.items()}


def loss_of_heads(
    loss: nn.Module, deep_supervision: DeepSupervision, heads: Sequence[Tensor], batch: Batch
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the losses of several heads (B, K, *S) on a batch of patches, and the terms of the finest one."""
    # Without padding the logits are smaller: target and weight are cropped to their center.
    size = heads[0].shape[2:]
    weight = batch.get("weight")
    found: list[dict[str, Tensor]] = []  # terms of each head

    def of_one(logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        value, terms = loss_with_terms(loss, logits, target, weight)
        found.append(terms)
        return value

    total = deep_supervision(
        of_one,
        heads,
        center_crop_or_pad(batch["target"], size),
        None if weight is None else center_crop_or_pad(weight, size),
    )
    return total, found[0]
