"""``segexp audit``: look at a data set before the first step, and leave a report."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from segexp.build import build_data
from segexp.config import plain
from segexp.data.audit import Audit
from segexp.data.audit.findings import Finding
from segexp.data.audit.measures import row
from segexp.data.case import Case
from segexp.errors import require_at_least
from segexp.pictures.audit_report import Report, choose, thumbnail, write_report
from segexp.runs.configuration import Config

NAMED = 3  # cases per finding on the screen
COLOURS = {"warning": "yellow", "note": "blue"}


class AuditConfig(Config):
    """Further keys of conf/audit.yaml."""

    folder: str
    pictures: int


def audit(cfg: DictConfig) -> None:
    """Audit the configured data set.

    Raises:
        ValueError: The data have errors; names all of them, after the report is written.
    """
    config = cast(AuditConfig, plain(cfg))
    require_at_least("pictures", config["pictures"], 0, integer=True)
    data = build_data(config)
    data.prepare_data()
    found, cases = data.audit()
    folder = Path(config["folder"])
    write_report(folder, _report(folder.name, found, cases, config["pictures"]))
    _print(found, folder)
    found.raise_errors()


def _report(title: str, found: Audit, cases: Mapping[str, Case], pictures: int) -> Report:
    findings = [asdict(finding) for finding in found.findings]
    flagged = [finding for finding in findings if finding["level"] != "note"]
    shown = choose([one.name for one in found.measures], flagged, pictures)
    return Report(
        title=title,
        summary=found.summary(),
        findings=findings,
        overview=found.overview(),
        rows=[row(one, found.class_names, found.rules(one.name)) for one in found.measures],
        pictures={name: thumbnail(cases[name].image, cases[name].target) for name in shown},
        class_names=found.class_names,
    )


def _print(found: Audit, folder: Path) -> None:
    console = Console()
    table = Table("fact", "value")
    for name, value in found.overview().items():
        table.add_row(name, value)
    console.print(table)
    for finding in (*found.of("warning"), *found.of("note")):  # errors are raised
        console.print(f"[{COLOURS[finding.level]}]{finding.level}[/]", end=" ")
        console.print(finding.sentence + _examples(finding), markup=False, highlight=False, soft_wrap=True)
    console.print(found.summary(), highlight=False, soft_wrap=True)
    console.print(f"report   {folder / 'audit.html'}", highlight=False, soft_wrap=True)


def _examples(finding: Finding) -> str:
    """Name the first cases of a warning; the report names all."""
    if finding.level != "warning" or not finding.cases:
        return ""
    more = len(finding.cases) - NAMED
    return f" ({', '.join(finding.cases[:NAMED])}{f' and {more} more' if more > 0 else ''})"
