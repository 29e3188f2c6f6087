"""What a stress test has scored so far, a line for each corrupted case: a killed one goes on with what is missing."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

CLEAN = "clean"  # corruption of severity 0
Key = tuple[str, str, int]  # corruption, case, severity


@dataclass(frozen=True)
class Unit:
    """A scored copy of a case.

    Attributes:
        corruption: Name of the corruption; "clean" = the case as it is.
        case: Name of the case.
        severity: From 1 to 5; 0 of a clean one.
        strength: Strength of the corruption.
        reached: What its declared measure then is.
        seconds: Time to corrupt, predict and score it.
        scores: Score by class and metric; nan = undefined.
    """

    corruption: str
    case: str
    severity: int
    strength: float
    reached: float
    seconds: float
    scores: Mapping[str, Mapping[str, float]]

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.corruption, self.case, self.severity

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read a line.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: It is none.
        """
        content: dict[str, Any] = json.loads(line)
        scores = {
            str(label): {str(name): float(value) for name, value in row.items()}
            for label, row in content["scores"].items()
        }
        return cls(
            str(content["corruption"]),
            str(content["case"]),
            int(content["severity"]),
            float(content["strength"]),
            float(content["reached"]),
            float(content["seconds"]),
            scores,
        )


class Journal:
    """Scored copies in a file of lines.

    Args:
        path: Path to the file; it need not exist yet, nor its folder.

    Attributes:
        units: Those that can be read, by key; a line that was cut off or damaged is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.units: dict[Key, Unit] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        for line in text.splitlines():
            try:
                unit = Unit.from_line(line)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            self.units[unit.key] = unit
        self._torn = bool(text) and not text.endswith("\n")

    def note(self, unit: Unit) -> None:
        """Add a scored copy, at once in the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._torn + json.dumps(asdict(unit)) + "\n")  # what was cut off is ended first
        self._torn = False
        self.units[unit.key] = unit

    def of(self, corruption: str, severity: int) -> list[Unit]:
        """All copies of one corruption and severity, in the order in which they were scored."""
        return [unit for unit in self.units.values() if (unit.corruption, unit.severity) == (corruption, severity)]


def mean_score(unit: Unit, metric: str) -> float:
    """Mean of a metric over the classes that are defined in a case; nan where none is."""
    known = [row[metric] for row in unit.scores.values() if not math.isnan(row.get(metric, math.nan))]
    return math.fsum(known) / len(known) if known else math.nan
