"""The plan as such: made in one go, written as an experiment file, read back from plain values."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segexp.errors import require_between, times
from segexp.planning.draft import Choice, Draft, Measure, written
from segexp.planning.facts import DataFacts, Machine
from segexp.planning.learning import choose_learning
from segexp.planning.shape import choose_shape

PLAIN = re.compile(r"(?!(?:true|false|null|yes|no|on|off|nan)$)[A-Za-z_][\w./-]*", re.IGNORECASE)  # needs no quotes
LEAST, MOST = 0.05, 60 * 24 * 30  # minutes


@dataclass(frozen=True)
class Plan:
    """Settings of a training with their reasons.

    Args:
        facts: Facts that they follow from, in words.
        choices: The choices, in the order in which they were made.
        minutes: Minutes of the whole run.
    """

    facts: tuple[str, ...]
    choices: tuple[Choice, ...]
    minutes: float

    @property
    def words(self) -> list[str]:
        """Overrides that make the choices, groups first."""
        return [one.word for one in sorted(self.choices, key=lambda one: not one.group)]

    def to_plain(self) -> dict[str, Any]:
        """Plain values, as JSON takes them."""
        return {"facts": list(self.facts), "choices": [asdict(one) for one in self.choices], "minutes": self.minutes}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "Plan":
        """Take plain values back."""
        choices = tuple(Choice(**one) for one in content["choices"])
        return cls(tuple(content["facts"]), choices, float(content["minutes"]))

    def as_experiment(self, name: str, given: Mapping[str, Any], groups: Iterable[str]) -> str:
        """Write the plan as an experiment file of Hydra, reasons as comments.

        Args:
            name: Name of the experiment.
            given: Settings of the user, by key, which the file holds as well.
            groups: Which of their keys are groups.
        """
        chosen = [Choice(key, value, "as given", key in groups) for key, value in given.items()]
        everything = [*chosen, *self.choices, Choice("minutes", self.minutes, "epochs are as many as fit")]
        lines = ["# @package _global_", *(f"# {fact}" for fact in self.facts), "defaults:"]
        lines += [f"  - override /{one.key}: {_noted(one)}" for one in everything if one.group]
        lines += ["  - _self_", f"name: {_yaml(name)}"]
        return "\n".join([*lines, *_nested([one for one in everything if not one.group])]) + "\n"


def draw_up(
    facts: DataFacts,
    machine: Machine,
    minutes: float,
    measure: Measure,
    given: Mapping[str, Any] | None = None,
    first: Iterable[Choice] = (),
) -> Plan:
    """Choose the settings of a training that fits into the minutes.

    Args:
        facts: Facts of the training cases.
        machine: Facts of the machine.
        minutes: Minutes of the whole run.
        measure: Measures the cost of a training step.
        given: Settings of the user, by key or group, which are not chosen.
        first: Choices that were made already.

    Raises:
        ValueError: The minutes are out of range.
    """
    require_between("minutes", minutes, LEAST, MOST)
    draft = Draft(facts, machine, minutes, measure, dict(given or {}), list(first))
    choose_shape(draft)
    choose_learning(draft)
    return Plan(tuple(_in_words(facts, machine)), tuple(draft.choices), minutes)


def _in_words(facts: DataFacts, machine: Machine) -> list[str]:
    """Sentences of the facts."""
    groups = f" of {facts.groups} groups" if facts.groups else ""
    kinds = {"in color": facts.colored, "CT": facts.ct}
    channels = f"{facts.channels} channel{'s' if facts.channels > 1 else ''}"
    images = ", ".join([channels, *(name for name, holds in kinds.items() if holds)])
    classes = ", ".join(
        f"{name} {fraction:.2%}" for name, fraction in zip(facts.class_names, facts.fractions, strict=True)
    )
    return [
        f"data: {facts.cases} training cases{groups}, {facts.validation} for validation, {facts.test} for the test",
        f"images: {times(facts.size)} px (median) of {times(facts.spacing)} {facts.unit}, {images}",
        f"pixels: {classes}; structures about {facts.width:.0f} px wide",
        f"machine: {machine}",
    ]


def _noted(choice: Choice) -> str:
    return f"{_yaml(choice.value)} # {choice.reason}"


def _yaml(value: Any) -> str:
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_yaml(key)}: {_yaml(one)}' for key, one in value.items())}}}"
    if isinstance(value, Sequence):
        return f"[{', '.join(_yaml(one) for one in value)}]"
    return written(value)


def _nested(choices: Sequence[Choice], indent: str = "") -> list[str]:
    """Lines of YAML, keys of one node together."""
    lines: list[str] = []
    for name in dict.fromkeys(one.key.partition(".")[0] for one in choices):
        own = [one for one in choices if one.key.partition(".")[0] == name]
        if own[0].key == name:
            lines.append(f"{indent}{name}: {_noted(own[-1])}")
            continue
        inner = [Choice(one.key.partition(".")[2], one.value, one.reason) for one in own]
        lines += [f"{indent}{name}:", *_nested(inner, indent + "  ")]
    return lines
