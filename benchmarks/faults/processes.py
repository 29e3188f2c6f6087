"""Commands of segexp as processes of their own, which may be killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(words: list[str], folder: Path, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a command in a group of its own.

    Args:
        words: Words of the command.
        folder: Folder that it works in.
        env: Further variables of its environment.
        log: Path to what it prints.
    """
    folder.mkdir(parents=True, exist_ok=True)
    usual = {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    usual |= {"SEGEXP_OUTPUT_DIR": str(folder / "outputs")}
    with log.open("ab") as printed:
        command = [sys.executable, "-m", "segexp", *words]
        whole = {**os.environ, **usual, **env}
        return subprocess.Popen(command, cwd=folder, env=whole, stdout=printed, stderr=printed, start_new_session=True)


def finish(process: subprocess.Popen[bytes], seconds: float = 600) -> int | None:
    """Wait for the end, and end what is left of its group; None = it hung."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def status_of(run: Path) -> str:
    """Status that run.json tells; empty where it tells none."""
    with suppress(OSError, ValueError):
        return str(json.loads((run / "run.json").read_text())["status"])
    return ""
