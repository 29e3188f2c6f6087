"""Progress of a run, read from its files."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder, epoch_seconds


@dataclass
class Progress:
    """Follows one run through its metrics.csv; its folder need not exist yet."""

    folder: RunFolder
    epochs: int = 0
    rows: list[dict[str, str]] = field(default_factory=list)
    _config: Config | None = None
    _read: tuple[int, int] = (0, 0)

    def refresh(self) -> list[dict[str, str]]:
        """Read new rows; return those of epochs that were not there before; none of a run with damaged files."""
        path = self.folder.curves_path
        # Whoever writes curves has written the whole configuration.
        if not path.is_file() or not self.folder.config_path.is_file():
            return []
        try:
            return self._new_rows(path)
        except ValueError:  # the pool says so at the end of the job
            return []

    def _new_rows(self, path: Path) -> list[dict[str, str]]:
        if self._config is None:
            self._config = self.folder.config()
            self.epochs = int(self._config["trainer"]["max_epochs"])
        stat = path.stat()
        if (stat.st_mtime_ns, stat.st_size) == self._read:
            return []
        self._read = (stat.st_mtime_ns, stat.st_size)
        known = {row["epoch"] for row in self.rows}
        self.rows = self.folder.curves()
        return [row for row in self.rows if row["epoch"] not in known]

    @property
    def monitor(self) -> str:
        """Name of the monitored metric, such as ``val/dice``."""
        return "" if self._config is None else str(self._config["monitor"])

    @property
    def best(self) -> float:
        """Best value of the monitored metric so far; nan before the first."""
        values = [value for value in map(self.value, self.rows) if not math.isnan(value)]
        if not values or self._config is None:
            return math.nan
        return max(values) if self._config["monitor_mode"] == "max" else min(values)

    def value(self, row: dict[str, str]) -> float:
        """Monitored metric of a row; nan where it is undefined or was not measured in that epoch."""
        return float(row.get(self.monitor) or math.nan)

    @property
    def seconds_left(self) -> float:
        """Estimate of the remaining seconds from the epochs so far; nan before the first."""
        if not self.rows:
            return math.nan
        return sum(epoch_seconds(self.rows)) / len(self.rows) * max(self.epochs - len(self.rows), 0)
