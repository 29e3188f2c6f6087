"""A stress test of a run or ensemble: every corrupted copy is scored by the code that scores the cases as they are."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from segexp.data import DataModule
from segexp.data.case import Case
from segexp.data.prepared import Prepared
from segexp.errors import require_choice
from segexp.postprocessing.postprocess import Steps
from segexp.runs.record import SplitName
from segexp.stress.corruptions import CORRUPTIONS, VERSION, Corrupted, corrupted
from segexp.stress.journal import CLEAN, Journal, Key, Unit

if TYPE_CHECKING:
    from segexp.evaluation.evaluation import Evaluation
    from segexp.evaluation.one_by_one import Scored


@dataclass(frozen=True)
class Plan:
    """What is to be scored.

    Attributes:
        split: Split of the cases.
        cases: Names of the cases, in the order of the split.
        corruptions: Names of the corruptions.
        severities: From 1 to 5.
        seed: Seed of the corruptions.
        version: Version of the corruptions.
    """

    split: SplitName
    cases: tuple[str, ...]
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    seed: int
    version: int = VERSION

    def copies(self) -> list[Key]:
        """All copies: the cases as they are first, then corruption by corruption, case by case."""
        clean = [(CLEAN, case, 0) for case in self.cases]
        pairs = [(name, case) for name in self.corruptions for case in self.cases]
        return clean + [(name, case, severity) for name, case in pairs for severity in self.severities]


def plan_of(
    data: DataModule,
    split: SplitName,
    corruptions: Sequence[str] | None,
    severities: Sequence[int],
    count: int | None,
    seed: int,
) -> Plan:
    """Plan a stress test of a split.

    Args:
        data: Data, set up.
        split: Split of the cases.
        corruptions: Names of corruptions; None = all that make sense for all of these cases.
        severities: From 1 to 5.
        count: Number of cases, evenly chosen from the split; None = all.
        seed: Seed of the corruptions.

    Raises:
        ValueError: A corruption does not fit a case.
    """
    cases = data.read_cases(split)
    if count is not None and count < len(cases):
        cases = [cases[round(place)] for place in np.linspace(0, len(cases) - 1, count)]
    fitting = [name for name, corruption in CORRUPTIONS.items() if all(map(corruption.fits, cases))]
    for name in corruptions or ():
        require_choice("corruptions", name, CORRUPTIONS)
        if name not in fitting:
            raise ValueError(f"corruptions: {name} does not fit these cases, for which there are {', '.join(fitting)}")
    names = tuple(case.name for case in cases)
    chosen = tuple(dict.fromkeys(fitting if corruptions is None else corruptions))
    return Plan(split, names, chosen, tuple(sorted(set(severities))), seed)


class Copies(Sequence[Prepared]):
    """Corrupted copies of cases, ready for the network; each is made when it is asked for, and only the last is kept.

    Args:
        data: Data, set up.
        plan: What is scored.
        keys: The copies, in order.
    """

    def __init__(self, data: DataModule, plan: Plan, keys: Sequence[Key]) -> None:
        self.data = data
        self.plan = plan
        self.keys = list(keys)
        self._cases: dict[str, Case] = {case.name: case for case in data.read_cases(plan.split)}
        self._made: tuple[tuple[str, str], dict[int, Corrupted]] = (("", ""), {})
        self._ready: tuple[int, Prepared] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Prepared:  # type: ignore[override]
        if self._ready is None or self._ready[0] != index:
            self._ready = index, self.data.made_ready(self.copy(self.keys[index]).case)
        return self._ready[1]

    def copy(self, key: Key) -> Corrupted:
        """Make a copy in the geometry and intensities of its files; all severities of it are made in one go."""
        name, case, severity = key
        if name == CLEAN:
            return Corrupted(self._cases[case], 0.0, 0.0)
        if self._made[0] != (name, case) or severity not in self._made[1]:
            wanted = [key[2] for key in self.keys if key[:2] == (name, case)]
            copies = corrupted(self._cases[case], name, wanted, self.plan.seed)
            self._made = (name, case), dict(zip(wanted, copies, strict=True))
        return self._made[1][severity]


def score_missing(
    evaluation: "Evaluation", plan: Plan, steps: Steps, journal: Journal, tell: Callable[[Unit, int], None]
) -> None:
    """Score all copies that the journal lacks.

    Args:
        evaluation: Run or ensemble, opened.
        plan: What is scored.
        steps: Steps of post-processing.
        journal: Scored copies; those that are scored are added.
        tell: Function that is called with each scored copy and the number of those that are left.
    """
    keys = [key for key in plan.copies() if key not in journal.units]
    copies = Copies(evaluation.data, plan, keys)
    last = time.perf_counter()

    def heed(scored: "Scored") -> None:
        nonlocal last
        name, case, severity = keys[scored.index]
        made = copies.copy(keys[scored.index])
        rows = {row.label: dict(row.scores) for row in scored.result.rows}
        now = time.perf_counter()
        unit = Unit(name, case, severity, made.strength, made.reached, round(now - last, 4), rows)
        journal.note(unit)
        tell(unit, len(keys) - scored.index - 1)
        last = time.perf_counter()

    if keys:
        evaluation.score_each(copies, steps, heed)


def predict_copies(
    evaluation: "Evaluation", plan: Plan, steps: Steps, keys: Iterable[Key], heed: Callable[[Key, "Scored"], None]
) -> None:
    """Predict some copies again, for pictures."""
    chosen = sorted(set(keys))
    if chosen:
        copies = Copies(evaluation.data, plan, chosen)
        evaluation.score_each(copies, steps, lambda scored: heed(chosen[scored.index], scored))


def identity(evaluation: "Evaluation", plan: Plan, steps: Steps, arguments: Sequence[str]) -> str:
    """Short digest of all that the score of a copy depends on: of copies with the same one, none is scored twice."""
    facts = {
        "runs": [[run.record.get("id"), run.checkpoint.get("epoch")] for run in evaluation.runs],
        "data": evaluation.data.fingerprint(),
        "arguments": sorted(arguments),
        "steps": dict(steps),
        "chosen": evaluation.chosen,
        "plan": {key: value for key, value in asdict(plan).items() if key in ("split", "seed", "version")},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]
