"""From facts of the data and the machine to the settings of a training, each with its reason."""

from segexp.planning.draft import Choice, Draft, StepCost
from segexp.planning.facts import DataFacts, Machine
from segexp.planning.plan import Plan, draw_up

__all__ = ["Choice", "DataFacts", "Draft", "Machine", "Plan", "StepCost", "draw_up"]
