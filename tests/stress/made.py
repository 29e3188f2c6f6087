"""Journals of made-up scores."""

from pathlib import Path

from segexp.runs.stress import StressResults
from segexp.stress.journal import CLEAN, Journal, Unit
from segexp.stress.scoring import Plan
from segexp.stress.summary import summarized

FACTS = {"dice": {"higher_is_better": True, "unit": "fraction", "computed_from": "labels", "targets": "classes"}}
CASES = ("c0", "c1", "c2")


def plan_for(*corruptions: str, severities: tuple[int, ...] = (1, 2, 3, 4, 5)) -> Plan:
    return Plan("test", CASES, corruptions, severities, 0)


def filled(folder: Path, plan: Plan, losses: dict[str, float]) -> Journal:
    """Case number n has 0.9 - n / 10 as it is, and loses so much with each severity, in class a; nothing in class b."""
    journal = Journal(folder / "journal.jsonl")
    for corruption, case, severity in plan.copies():
        clean = 0.9 - int(case[1:]) / 10
        loss = 0.0 if corruption == CLEAN else losses[corruption]
        scores = {"a": {"dice": clean - loss * severity}, "b": {"dice": clean}}
        journal.note(Unit(corruption, case, severity, 0.1 * severity, 30.0, 0.5, scores))
    return journal


def results_for(folder: Path, losses: dict[str, float], severities: tuple[int, ...] = (1, 2, 3, 4, 5)) -> StressResults:
    plan = plan_for(*losses, severities=severities)
    return summarized(filled(folder, plan, losses), plan, "dice", FACTS, [3], 10.0)
