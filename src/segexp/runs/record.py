"""run.json: what ran, where, on what, and how it ended."""

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import segexp

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


class RunRecord:
    """The file run.json of a run folder, rewritten whole at each change.

    Args:
        folder: The run folder.
        overrides: Command-line overrides of the run.
        seed: Of the run.
    """

    def __init__(self, folder: Path, overrides: list[str], seed: int) -> None:
        self.path = folder / "run.json"
        earlier = json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else {}
        self.content: dict[str, Any] = {
            "status": "running",
            "why": "",
            "command": sys.argv,
            "overrides": overrides,
            "seed": seed,
            "start": earlier.get("start", _now()),
            "resumed": [*earlier.get("resumed", []), _now()] if earlier else [],
            "end": None,
            **present_facts(),
        }
        self.write()

    def write(self, **facts: Any) -> None:
        """Add facts and write the file, atomically."""
        self.content |= facts
        write_json(self.path, self.content)

    def finish(self, status: str, why: str) -> None:
        """Note the end: "done", "failed" or "interrupted", and why."""
        self.write(status=status, why=why, end=_now())


def present_facts() -> dict[str, Any]:
    """Code, packages and machine of this process."""
    return {
        "segexp_version": segexp.__version__,
        "git": _git(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "machine": _machine(),
    }


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader never sees half a file; nan becomes null."""
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps(_finite(content), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git() -> dict[str, str] | None:
    """Commit and uncommitted changes of the checkout that segexp runs from; None outside one."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=False).stdout.strip()

    return {"commit": git("rev-parse", "HEAD"), "diff": git("diff", "HEAD")}


def _machine() -> dict[str, Any]:
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": platform.platform(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "gpus": devices,
        "cuda": torch.version.cuda if devices else None,
    }


def processor() -> str:
    """Name of the processor, as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
