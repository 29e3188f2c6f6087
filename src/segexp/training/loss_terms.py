"""A loss and its terms by name, of logits and of predicted probabilities."""

from torch import Tensor, nn


def loss_with_terms(
    loss: nn.Module, logits: Tensor, target: Tensor, weight: Tensor | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of logits (B, K, *S), and the terms of a compound one by name, such as ``loss_ce``, unweighted."""
    with_terms = getattr(loss, "with_terms", None)
    if with_terms is None:
        return loss(logits, target, weight), {}
    total, terms = with_terms(logits, target, weight)
    return total, {f"loss_{name}": value.detach() for name, value in terms.items()}


def losses_of_probs(loss: nn.Module, probs: Tensor, target: Tensor, weight: Tensor | None) -> dict[str, Tensor]:
    """Loss and terms of probabilities (B, K, *S), as () float32."""
    # Undo the sigmoid of overlapping regions, which have a target per channel, or the softmax of classes.
    logits = probs.logit(1e-7) if target.ndim == probs.ndim else probs.clamp_min(1e-7).log()
    total, terms = loss_with_terms(loss, logits, target, weight)
    return {name: value.detach().float() for name, value in {"loss": total, **terms}.items()}
