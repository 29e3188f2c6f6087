"""A plan: choices, each with the override that makes it and the fact it follows from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segexp.planning.facts import DataFacts, Machine

TRAINING_SHARE = 0.8  # of the minutes, for steps
MEMORY_SHARE = 0.6  # of the free memory, for a step


@dataclass(frozen=True)
class Choice:
    """One choice of a plan.

    Args:
        key: Key, such as ``data.sampling.batch_size``, or group, such as ``model``.
        value: Value, or option of the group.
        reason: The facts that it follows from, in words.
        group: Whether the key is a group.
    """

    key: str
    value: Any
    reason: str
    group: bool = False

    @property
    def word(self) -> str:
        """Override that makes the choice."""
        return f"{self.key}={written(self.value)}"


@dataclass(frozen=True)
class StepCost:
    """Cost of a training step on this machine.

    Args:
        seconds: Seconds of forward, backward and optimizer for a batch.
        memory: Bytes at its peak.
        loading: Seconds that one process takes to augment the patches of a batch.
        symmetries: Flips and turns that the augmentation shows, see ``segexp.data.augmentation.symmetries``.
    """

    seconds: float
    memory: int
    loading: float
    symmetries: tuple[str, ...] = ()


Measure = Callable[[Sequence[str], Sequence[str]], StepCost]  # with overrides below those of the user, and above


@dataclass
class Draft:
    """A plan in the making.

    Args:
        facts: Facts of the data.
        machine: Facts of the machine.
        minutes: Minutes of the whole run.
        measure: Measures a training step with further overrides.
        given: Value of each key or group that the user has set; these are not chosen.
    """

    facts: DataFacts
    machine: Machine
    minutes: float
    measure: Measure
    given: Mapping[str, Any] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)
    seen_size: list[int] = field(default_factory=list)  # median case in pixels as the network sees it

    def is_given(self, key: str) -> bool:
        """Whether the user has set a key, or the group or node that it belongs to."""
        parts = key.replace("/", ".").split(".")
        above = {".".join(parts[:end]) for end in range(1, len(parts) + 1)} - {"data"}
        return any(name.replace("/", ".") in above for name in self.given)

    def choose(self, key: str, value: Any, reason: str, group: bool = False) -> Any:
        """Choose a value for a reason, unless the user has set the key; return what holds."""
        if self.is_given(key):
            return self.given.get(key, value)
        self.choices = [one for one in self.choices if one.key != key]
        self.choices.append(Choice(key, value, reason, group))
        return value

    def cost(self, *more: str) -> StepCost:
        """Cost of a training step with what was chosen so far, and with further overrides that win over all others."""
        return self.measure(self.words, more)

    def value(self, key: str, default: Any = None) -> Any:
        """Value of a key that was chosen or given; else the default."""
        found = [one.value for one in self.choices if one.key == key]
        return found[0] if found else self.given.get(key, default)

    @property
    def words(self) -> list[str]:
        """Overrides of all choices, groups first."""
        return [one.word for one in sorted(self.choices, key=lambda one: not one.group)]

    @property
    def training_seconds(self) -> float:
        """Seconds that are left for training steps: the rest is set-up, validation and the final scoring."""
        return 60 * self.minutes * TRAINING_SHARE


def written(value: Any) -> str:
    """Write a value as Hydra and YAML read it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(written(one) for one in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
