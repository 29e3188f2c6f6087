"""A process that leaves the files of a run without training, so that many of them can be run, stopped and killed.

python tiny_job.py FOLDER [epochs=3] [seconds=0.1] [value=0.5] [do=raise|die|hang|nan]
"""

import csv
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from segexp.sweeps.jobs import Job
from segexp.writing import write_text


@dataclass(frozen=True)
class TinyJob(Job):
    """A job of this script instead of segexp's."""

    def words(self) -> list[str]:
        return [sys.executable, __file__, str(self.folder.absolute()), *self.overrides]


def lines_of(folder: Path) -> list[dict]:
    """Lines of the ledger of a sweep."""
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def work(folder: Path, settings: dict[str, str]) -> None:
    checkpoint, epochs = folder / "checkpoints" / "last.ckpt", int(settings.get("epochs", "3"))
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    config = {"trainer": {"max_epochs": epochs}, "monitor": "val/dice", "monitor_mode": "max"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    start = int(checkpoint.read_text()) if checkpoint.is_file() else 0
    rows = list(csv.DictReader((folder / "metrics.csv").open())) if start else []
    for epoch in range(start, epochs):
        time.sleep(float(settings.get("seconds", "0.1")))
        if settings.get("do") == "raise":
            raise RuntimeError("planted")
        if settings.get("do") == "die" and epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        value = float(settings.get("value", "0.5")) * (epoch + 1) / epochs
        rows.append({"epoch": epoch, "seconds": 0.1, "validation_seconds": 0.0, "val/dice": value})
        with (folder / "metrics.part").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        (folder / "metrics.part").replace(folder / "metrics.csv")
        write_text(checkpoint, str(epoch + 1))  # whole at any moment: a signal may come, tests wait for it
    figure = None if settings.get("do") == "nan" else float(settings.get("value", "0.5"))
    results = {
        "headline": {"split": "val", "metric": "dice", "value": figure},
        "val": {"dice": figure},
        "training": {"minutes": 0.1},
    }
    (folder / "results.json").write_text(json.dumps(results))


def main() -> None:
    folder, settings = Path(sys.argv[1]), dict(word.split("=", 1) for word in sys.argv[2:])
    record = {"status": "running", "why": "", "parameters": 7, "pid": os.getpid()}

    def note(status: str, why: str = "") -> None:
        record.update(status=status, why=why)
        write_text(folder / "run.json", json.dumps(record))

    if settings.get("do") == "hang":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    note("running")
    try:
        work(folder, settings)
    except KeyboardInterrupt:
        note("interrupted")
        sys.exit(1)
    except Exception as error:
        note("failed", f"{type(error).__name__}: {error}")
        raise
    note("done")


if __name__ == "__main__":
    main()
