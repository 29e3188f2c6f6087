"""What benchmarks say of the machine, and where their tables go: between two markers of a page."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from segexp.runs.recorder import processor


def machine() -> str:
    """Tell the day, the processor, and the versions that a figure goes with."""
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores, {versions}"


def put_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two markers of a page."""
    before, _, rest = page.read_text().partition(begin)
    page.write_text(before + begin + text + end + rest.partition(end)[2])
