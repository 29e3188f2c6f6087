"""Commands of segexp, in processes of their own that may be killed, and in this one."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

from segexp.cli import main as segexp_main

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


def finish(process: subprocess.Popen[bytes], seconds: float = 3600) -> int | None:
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


def run_here(words: Sequence[str]) -> tuple[int | None, str, str]:
    """Run a command in this process.

    Returns:
        Exit status, None where it broke; what it printed; what it said beside that.
    """
    out, err = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(err)
    logging.getLogger("segexp").addHandler(handler)
    sys.argv = ["segexp", *words]
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            segexp_main()
        status: int | None = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except Exception as error:
        status = None
        print(f"{type(error).__name__}: {error}", file=err)
    finally:
        logging.getLogger("segexp").removeHandler(handler)
    return status, out.getvalue(), err.getvalue()
