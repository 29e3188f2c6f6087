"""Studies of trials that take a moment: real processes that leave the files of a run, but do not train.

python -m tests.sweeps.tiny_study FOLDER [hydra… and sweep… settings] [overrides]: a driver. Its trials are
python tiny_study.py FOLDER [x=0.3] [do=good|raise|die|undefined] [epochs=3] [seconds=0.02] [seed=0]: the best x is 0.3.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def trial(folder: Path, settings: dict[str, str]) -> None:
    x, epochs, do = float(settings.get("x", 0.3)), int(settings.get("epochs", 3)), settings.get("do")
    dice = 1 - (x - 0.3) ** 2 + 0.01 * int(settings.get("seed", 0))
    checkpoint = folder / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with (folder / "starts.txt").open("a") as file:
        file.write(f"{os.getpid()}\n")
    config = {"trainer": {"max_epochs": epochs}, "monitor": "val/dice", "monitor_mode": "max"}
    (folder / "config.yaml").write_text(json.dumps(config))
    for epoch in range(int(checkpoint.read_text()) if checkpoint.is_file() else 0, epochs):
        time.sleep(float(settings.get("seconds", 0.02)))
        if do == "raise":
            raise RuntimeError("planted")
        if do == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        with (folder / "metrics.csv").open("a") as file:
            head = "" if epoch else "epoch,seconds,validation_seconds,val/dice\n"
            file.write(f"{head}{epoch},60,0,{dice * (epoch + 1) / epochs}\n")
        (folder / "last.part").write_text(str(epoch + 1))  # a signal may come at any moment, tests wait for the file
        (folder / "last.part").replace(checkpoint)
    value = None if do == "undefined" else dice
    results = {"headline": {"split": "val", "metric": "dice", "value": value}, "val": {"dice": value}}
    (folder / "results.json").write_text(json.dumps({**results, "training": {"minutes": abs(x)}}))


def run(folder: Path, settings: dict[str, str]) -> None:
    def note(status: str, why: str = "") -> None:
        (folder / "run.part").write_text(json.dumps({"status": status, "why": why, "parameters": 7}))
        (folder / "run.part").replace(folder / "run.json")

    note("running")
    try:
        trial(folder, settings)
    except KeyboardInterrupt:
        note("interrupted")
        sys.exit(1)
    except Exception as error:
        note("failed", f"{type(error).__name__}: {error}")
        raise
    note("done")


def drive(folder: Path, *words: str) -> None:
    """Run a study as the command line does, its settings from conf/."""
    from hydra import compose, initialize_config_dir

    from segexp.config import config_dir, own_options, register_resolvers
    from segexp.sweeps import pool
    from segexp.sweeps.jobs import Job
    from segexp.sweeps.local import LocalEngine
    from segexp.sweeps.search import search

    class TinyTrial(Job):
        def words(self) -> list[str]:
            return [sys.executable, "-S", "-I", __file__, str(self.folder), *self.overrides]

    class Engine(LocalEngine):
        def start(self, job):
            return super().start(TinyTrial(job.overrides, job.folder, job.command, job.replicate))

    class Launcher:
        def engine(self):
            return Engine(jobs_at_once=at_once, gpus_per_job=0, stop_seconds=5)

        def composed(self, words):
            raise AssertionError(f"{words}: the records of these trials hold no configuration to compare with")

    pool.POLL_SECONDS = 0.02
    at_once = next((int(word.partition("=")[2]) for word in words if word.startswith("at_once=")), 2)
    drivers = [word for word in words if word.startswith(("hydra", "sweep"))]
    overrides = [word for word in words if word not in drivers and not word.startswith("at_once=")]
    register_resolvers()
    with own_options(), initialize_config_dir(str(config_dir()), version_base="1.3"):
        where = ["hydra/sweeper=optuna", f"hydra.sweep.dir={folder}", "monitor_mode=max"]
        config = compose("train", [*where, *drivers], return_hydra_config=True)
    settings = {key: value for key, value in config.hydra.sweeper.items() if key[0] != "_"}
    search(config, Launcher(), overrides, lambda batch: None, **settings)


if __name__ == "__main__":
    if __spec__ is None:
        run(Path(sys.argv[1]), dict(word.split("=", 1) for word in sys.argv[2:]))
    else:
        from segexp.stopping import heeded

        with heeded():
            drive(Path(sys.argv[1]), *sys.argv[2:])
