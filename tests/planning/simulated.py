"""Facts of data and machines that need not be at hand, and a machine whose speed is a formula."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import yaml

from segexp.planning import Choice, DataFacts, Machine, Plan, StepCost, draw_up
from segexp.planning.draft import Measure

CPU = Machine(cores=2, memory=16 * 2**30)
GPU = Machine(cores=16, memory=24 * 2**30, gpu="a GPU of 24 GB")
SHOWN = ("flip_y", "flip_x", "quarter_turn")  # by the presets of photographs and microscopy
SPEED = {CPU: 1e6, GPU: 3e8}  # pixels per second in 2-D, of a network of 16 base channels

PHOTOGRAPHS = DataFacts(
    cases=28,
    validation=10,
    test=10,
    groups=0,
    size=(529, 604),
    largest=(547, 626),
    spacing=(1.0, 1.0),
    spacings_differ=False,
    unit="px",
    channels=3,
    colored=True,
    ct=False,
    fractions=(0.8, 0.2),
    width=121.0,
    class_names=("background", "polyp"),
)
VOLUMES = replace(
    PHOTOGRAPHS,
    size=(36, 50, 35),
    largest=(46, 59, 42),
    spacing=(1.0, 1.0, 1.0),
    unit="mm",
    channels=1,
    colored=False,
    fractions=(0.947, 0.028, 0.025),
    width=4.6,
    class_names=("background", "anterior", "posterior"),
)
CT = replace(
    VOLUMES,
    size=(110, 512, 512),
    largest=(160, 512, 512),
    spacing=(2.5, 0.8, 0.8),
    spacings_differ=True,
    ct=True,
    fractions=(0.97, 0.03),
    width=40.0,
    class_names=("background", "liver"),
)


def measure(machine: Machine, given: Mapping[str, Any] | None = None) -> Measure:
    """Cost of a step by a formula: pixels, and the width of the network to the power of 1.7."""

    def cost(below: Sequence[str], above: Sequence[str]) -> StepCost:
        settings = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in below)}
        settings |= given or {}
        settings |= {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in above)}
        patch = settings["data.sampling.patch_size"]
        pixels = prod(patch) * int(settings["data.sampling.batch_size"])
        width = int(settings.get("model.base_channels", 16))
        seconds = pixels / SPEED[machine] * (width / 16) ** 1.7
        memory = pixels * width * 60 * (0.3 if settings.get("model.checkpointing") else 1)
        shown = SHOWN if settings.get("augment") in ("fundus", "membrane") else ()
        return StepCost(seconds, int(memory), pixels * 1e-8, shown)

    return cost


def plan(facts: DataFacts, minutes: float = 20, machine: Machine = CPU, **given: Any) -> Plan:
    """Plan on a simulated machine; double underscores in keywords stand for dots."""
    settings = {key.replace("__", "."): value for key, value in given.items()}
    return draw_up(facts, machine, minutes, measure(machine, settings), settings)


def chosen(plan: Plan) -> dict[str, Any]:
    """Values of the choices."""
    return {one.key: one.value for one in plan.choices}


def reasons(plan: Plan) -> dict[str, Choice]:
    """Choices by key."""
    return {one.key: one for one in plan.choices}
