"""Intensity rules by the names that checkpoints keep."""

from collections.abc import Mapping
from typing import Any

from segexp.data.intensity.rules import N4, IntensityRule, PercentileClip, Window, ZScore
from segexp.data.intensity.training_statistics import TrainingStatistics
from segexp.errors import require_choice

RULES = {rule.__name__: rule for rule in (ZScore, N4, PercentileClip, Window, TrainingStatistics)}


def is_described(rule: IntensityRule) -> bool:
    """Whether all that a rule does follows from its ``description``; one of a user's own may know more."""
    return RULES.get(type(rule).__name__) is type(rule)


def rule_from(description: Mapping[str, Any]) -> IntensityRule:
    """Make the rule that ``description`` describes, such as {"rule": "Window", "low": -160.0, "high": 240.0}.

    Raises:
        ValueError: There is no such rule, or its settings are others.
    """
    settings = dict(description)
    name = settings.pop("rule", None)
    require_choice("the intensity rule", name, RULES)
    try:
        return RULES[name](**settings)
    except TypeError as error:
        raise ValueError(f"intensity rule {name} cannot have the settings {settings} ({error})") from error
