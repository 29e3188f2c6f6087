"""Tables and lists of the page of a run, as HTML."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from segexp.comparison.case_order import number_of

DIGITS = 4
DEFINITIONS = 20  # of metrics that are seen at once


def facts_list(facts: Mapping[str, Any]) -> str:
    """List of names with their values; empty without any."""
    rows = "".join(f"<dt>{escape(str(name))}<dd>{escape(str(value))}" for name, value in facts.items())
    return f"<dl>{rows}</dl>" if rows else ""


def definitions(protocol: Mapping[str, str]) -> str:
    """Definitions of the metrics; of many, as those of a stress test are, the later ones folded away."""
    told = list(protocol.items())
    more = f"<details><summary>{len(told) - DEFINITIONS} more</summary>{facts_list(dict(told[DEFINITIONS:]))}</details>"
    return facts_list(dict(told[:DEFINITIONS])) + (more if len(told) > DEFINITIONS else "")


def sortable_table(rows: Sequence[Mapping[str, Any]], *without: str) -> str:
    """Table that a click on a head sorts."""
    columns = [name for name in (rows[0] if rows else {}) if name not in without]
    if not columns:
        return ""
    head = "".join(f"<th scope=col><button type=button>{escape(name)}</button>" for name in columns)
    body = "".join(f"<tr>{_cells(row.get(name) for name in columns)}" for row in rows)
    return f"<div class=wide><table class=sortable><thead><tr>{head}<tbody>{body}</table></div>"


def _cells(values: Iterable[Any]) -> str:
    return "".join(f"<td>{escape(written(value))}" for value in values)


def written(value: Any) -> str:
    """Text of a value of a table; empty for none and nan."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str) and math.isfinite(number_of(value)) and "." in value:
        value = float(value)
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}" if abs(value) < 1e-3 else f"{value:.{DIGITS}f}"
    return value if isinstance(value, str) else json.dumps(value)


def amount(value: float) -> str:
    """Three or more digits, as people write an amount."""
    if value >= 100 or isinstance(value, int):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
