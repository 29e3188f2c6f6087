"""Losses of other libraries, and functions of logits and a target, brought to the contract of ours.

No library is known by name: what a loss takes is found out by trying it.
"""

import inspect
from typing import Any

from torch import nn

from segexp.errors import name_of, some
from segexp.losses.foreign_loss import FORMS, ForeignLoss, parameters_of
from segexp.losses.trial import Trial

HINTS = ("softmax", "sigmoid", "logit", "activation", "onehot", "one_hot")  # in names of settings that mend most
NEEDED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def adapted(loss: Any, channels: int, axes: int, regions: bool, weighted: bool = False) -> nn.Module:
    """Bring a loss to the contract of ours; one that says its ``target_kinds`` keeps to it already.

    Args:
        loss: Module or function from logits and a target to a loss.
        channels: Number of channels of the logits.
        axes: Number of spatial axes of the patches.
        regions: Whether the target is of overlapping regions.
        weighted: Whether the data carry a weight map.

    Raises:
        ValueError: It does not go with such logits and targets; the sentence says what is missing.
    """
    if hasattr(loss, "target_kinds"):
        keeps: nn.Module = loss
        return keeps
    _require_arguments(loss, weighted)
    kind = "regions" if regions else "classes"
    trial = Trial(channels, axes, regions, weighted)
    faults = {}
    for words, form in FORMS[kind].items():
        candidate = ForeignLoss(loss, kind, form)
        fault = trial.fault_of(candidate)
        if fault is None:
            return candidate
        faults[words] = fault
    # A form that it takes, and fails in, says more than those that it does not take.
    told = [fault.sentence for fault in faults.values() if fault.taken]
    refused = [f"with a target {words}: {fault.sentence}" for words, fault in faults.items()]
    hints = [word for word in parameters_of(type(loss)) if any(hint in word.lower() for hint in HINTS)]
    remedy = f"see its settings {some(hints)}" if hints else "wrap it in a module of a few lines"
    raise ValueError(
        f"loss {name_of(loss)} does not go with logits (B, {channels}, *S) and {kind}: "
        f"{told[0] if told else '; '.join(refused)}; {remedy}, or choose another loss"
    )


def _require_arguments(loss: Any, weighted: bool) -> None:
    """Refuse what does not take logits and a target, or needs more than these."""
    if not callable(loss):
        raise ValueError(f"loss {name_of(loss)} cannot be called: give a module or function of logits and target")
    takes = parameters_of(loss)
    positional = [name for name, one in takes.items() if one.kind in NEEDED[:2]]
    several = any(one.kind == one.VAR_POSITIONAL for one in takes.values())
    further = [name for name, one in takes.items() if one.default is one.empty and one.kind in NEEDED]
    further = [name for name in further if name not in positional[:2] and not (weighted and name == "weight")]
    if takes and (further or (len(positional) < 2 and not several)):
        needs = f"needs {some(further)} beside logits and target" if further else f"takes {some(takes)} alone"
        raise ValueError(
            f"loss {name_of(loss)} {needs}; it is called with logits, target and, if it has such an argument, weight: "
            "wrap it in a module of a few lines"
        )
