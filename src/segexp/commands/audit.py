"""``segexp audit``: look at a data set before the first step, and leave a report."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from omegaconf import DictConfig
from rich.text import Text

from segexp.build import build_data
from segexp.config import plain
from segexp.data.audit import Audit
from segexp.data.audit.findings import Finding
from segexp.data.audit.measures import row
from segexp.data.case import Case
from segexp.errors import require_at_least, some
from segexp.pictures.audit_report import Report, choose, thumbnail, write_report
from segexp.runs.configuration import Config
from segexp.terminal import Console, Table

NAMED = 3  # cases per finding on the screen
COLORS = {"warning": "yellow", "note": "blue"}


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
    report, cases = data.audit()
    folder = Path(config["folder"])
    write_report(folder, _report(folder.name, report, cases, config["pictures"]))
    _print(report, folder)
    report.raise_errors()


def _report(title: str, report: Audit, cases: Mapping[str, Case], pictures: int) -> Report:
    flagged = [finding for finding in report.findings if finding.level != "note"]
    shown = choose([one.name for one in report.measures], flagged, pictures)
    return Report(
        title=title,
        summary=report.summary(),
        findings=report.findings,
        overview=report.overview(),
        rows=[row(one, report.class_names, report.rules(one.name)) for one in report.measures],
        pictures={name: thumbnail(cases[name].image, cases[name].target) for name in shown},
        class_names=report.class_names,
    )


def _print(report: Audit, folder: Path) -> None:
    console = Console()
    table = Table("fact", "value")
    for name, value in report.overview().items():
        table.add_row(name, value)
    console.print(table)
    for finding in (*report.of("warning"), *report.of("note")):  # errors are raised
        level = Text(finding.level, COLORS[finding.level])
        console.print(level, finding.sentence + _examples(finding), highlight=False, soft_wrap=True)
        if finding.remedy:
            console.print("  try", finding.remedy, highlight=False, soft_wrap=True, markup=False)
    console.print(report.summary(), highlight=False, soft_wrap=True)
    console.print(f"report   {folder / 'audit.html'}", highlight=False, soft_wrap=True)


def _examples(finding: Finding) -> str:
    """Name the first cases of a warning; the report names all."""
    if finding.level != "warning" or not finding.cases:
        return ""
    return f" ({some(finding.cases, NAMED)})"
