"""What benchmarks say of the machine, and where their tables go: between two markers of a page."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from segexp.runs.recorder import processor

README = Path(__file__).with_name("README.md")


def machine() -> str:
    """Tell the day, the processor, and the versions that a figure goes with."""
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores, {versions}"


def publish(name: str, text: str, only_print: bool = False, page: Path = README) -> None:
    """Print a table, and let it take the place of the one between the markers of its name on a page."""
    print(text)
    if not only_print:
        put_between(page, name, text)


def put_between(page: Path, name: str, text: str) -> None:
    """Replace what stands between the two markers of a name on a page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(before + begin + text + end + rest.partition(end)[2])
