"""Writing run.json: code, packages and machine of this process, and what becomes of the run."""

import json
import os
import platform
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import cast

import torch

import segexp
from segexp.runs.files import write_json
from segexp.runs.folder import RunFolder
from segexp.runs.record import Environment, Git, Record
from segexp.runs.secrets import masked
from segexp.stopping import Stopped
from segexp.writing import WriteError, remove

RESERVE = 1 << 16  # bytes that a run keeps for the record of its end, beside those of the record itself
PACKAGES = (
    "torch",
    "pytorch-lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "albumentations",
    "numpy",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
)


class RunRecorder:
    """Keeps run.json true to what happens; the file is rewritten whole at each change.

    Args:
        folder: Run folder.
        overrides: Command-line overrides of the run.
        seed: Seed of the run.
    """

    def __init__(self, folder: RunFolder, overrides: list[str], seed: int) -> None:
        self.path = folder.record_path
        self.reserve = folder.reserve_path
        earlier = folder.record()
        earlier.pop("headline", None)  # of the state before
        self.content: Record = {
            **earlier,
            "id": earlier.get("id", uuid.uuid4().hex),
            "status": "running",
            "why": "",
            "command": masked(sys.argv),
            "overrides": masked(overrides),
            "seed": seed,
            "start": earlier.get("start", _now()),
            "resumed": [*earlier.get("resumed", []), _now()] if earlier else [],
            "end": None,
        }
        self.content |= masked(cast(Record, present_facts()))
        self.reserve.write_bytes(os.urandom(RESERVE + len(json.dumps(self.content))))
        self.write({})

    def write(self, facts: Record) -> None:
        """Add facts and write the file, atomically; secrets in it are masked."""
        self.content |= masked(facts)
        write_json(self.path, self.content)

    def free_reserve(self) -> None:
        """Make room for what is written at the end, should the disk be full."""
        remove(self.reserve)

    def finish(self, status: str, why: str) -> None:
        """Note the end: "done", "failed" or "interrupted", and why.

        Raises:
            WriteError: The run ended well, but that cannot be written; of another end its own cause counts.
        """
        self.free_reserve()
        try:
            self.write({"status": status, "why": why, "end": _now()})
        except WriteError as error:
            if status == "done":
                raise
            print(f"the end of the run could not be noted: {error}", file=sys.stderr)

    def stop(self, error: BaseException, remedy: str = "") -> None:
        """Note an early end: "interrupted" by a signal, or "failed", and why.

        Args:
            error: What ended the run.
            remedy: How to go on with it, if it was interrupted.
        """
        name = type(error).__name__
        if isinstance(error, KeyboardInterrupt | SystemExit | Stopped):
            self.finish("interrupted", f"{str(error) or name}{remedy}")
        else:
            self.finish("failed", f"{name}: {error}")


def present_facts() -> Environment:
    """Code, packages and machine of this process."""
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "segexp_version": segexp.__version__,
        "git": _git(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "threads": torch.get_num_threads(),
            "gpus": devices,
            "cuda": torch.version.cuda if devices else None,
        },
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git() -> Git | None:
    """Commit and uncommitted changes of the checkout that segexp runs from; None outside one."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        words = ["git", "-C", str(root), *arguments]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()

    return {"commit": git("rev-parse", "HEAD"), "diff": git("diff", "HEAD")}


def processor() -> str:
    """Name of the processor, as the system tells it."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"(?m)^model name\s*:(.*)", info.read_text(encoding="utf-8") if info.is_file() else "")
    return model[1].strip() if model else platform.processor()
