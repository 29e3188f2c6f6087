"""Rows of the table in docs/networks.md."""

from pathlib import Path

from torch import nn

from segexp.models import cost

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def page_row(model: str) -> str:
    """The row of a model as the page has it."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{model}` |")]
    return rows[0].rpartition(" | ")[0] if rows else "no row"


def row(model: str, network: nn.Module, size: list[int]) -> str:
    """The row as it must be, but for its last column, which is free text."""
    parameters, multiply_adds = cost(network, (1, *size))
    image = "×".join(str(n) for n in size)
    told = network.receptive_field() or "unknown"
    field = "×".join(map(str, told)) if isinstance(told, tuple) else told
    return f"| `{model}` | {parameters / 1e6:.2f} | {image} | {multiply_adds / 1e9:.1f} | {field}"
