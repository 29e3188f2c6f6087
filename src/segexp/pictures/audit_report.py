"""The report of an audit: audit.md, audit.html with pictures, cases.csv."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

from segexp.data.audit.findings import Finding
from segexp.data.audit.measures import Row
from segexp.foreign import to_markdown, to_markdown_cell
from segexp.pictures.figures import COLORS, PERCENTILES, three_channels, to_uint8
from segexp.runs.files import table_text
from segexp.writing import write_text

SIZE = 224  # pixels, longer side of a picture
SHOWN = 4  # cases that a finding names in the HTML; more are folded away


@dataclass(frozen=True)
class Report:
    """What is written, in plain values.

    Attributes:
        title: Title, such as "hippocampus".
        summary: Summary in one line.
        findings: Findings, errors first.
        overview: Facts about all cases, in words.
        rows: Rows of cases.csv; each has "case" and "split".
        pictures: Pictures (h, w, 3) uint8 of some cases, by name.
        class_names: Names of the classes, background first.
    """

    title: str
    summary: str
    findings: Sequence[Finding]
    overview: Mapping[str, str]
    rows: Sequence[Row]
    pictures: Mapping[str, np.ndarray]
    class_names: Sequence[str]


def write_report(folder: Path, report: Report) -> None:
    """Write audit.md, audit.html (one file, needs no network) and cases.csv into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "audit.md", _markdown(report))
    write_text(folder / "audit.html", _html(report))
    write_text(folder / "cases.csv", table_text(report.rows) if report.rows else "case\r\n")


def choose(names: Sequence[str], findings: Sequence[Finding], count: int) -> list[str]:
    """Choose cases to show: from each finding in turn, errors first, then evenly from the others.

    Args:
        names: All cases that can be shown, in order.
        findings: Findings, in order.
        count: Largest number of cases.
    """
    queues = [[name for name in finding.cases if name in set(names)] for finding in findings]
    turns = [queue[turn] for turn in range(max(map(len, queues), default=0)) for queue in queues if turn < len(queue)]
    chosen = list(dict.fromkeys(turns))[:count]
    others = [name for name in names if name not in set(chosen)]
    places = np.linspace(0, len(others) - 1, min(len(others), count - len(chosen))).astype(int)
    return chosen + [others[place] for place in places]


def thumbnail(image: np.ndarray, target: np.ndarray | None) -> np.ndarray:
    """Draw a case with the outlines of its classes; of a volume its middle slice, the second axis upwards.

    Args:
        image: (C, *S) in any scale; three channels are taken as RGB, else the first is shown.
        target: (*S) class indices, 255 = not labeled; or None.

    Returns:
        (h, w, 3) uint8, the longer side 224.
    """
    if image.ndim == 4:
        middle = image.shape[1] // 2
        image = image[:, middle, ::-1]
        target = None if target is None else target[middle, ::-1]
    shown = three_channels(image)
    scaled = to_uint8(shown, np.percentile(shown, PERCENTILES))  # one scale for all channels keeps their color
    height, width = shown.shape[1:]
    zoom = SIZE / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    resampling = Image.Resampling.NEAREST if zoom > 1 else Image.Resampling.BOX
    picture = np.array(Image.fromarray(scaled).resize(size, resampling))
    if target is None:
        return picture
    labels = np.array(Image.fromarray(target.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
    # The two outermost pixels of the regions of every class above 0.
    classes = np.where(labels == 255, 0, labels)
    edge = find_boundaries(classes, mode="inner", background=0)
    outlined = edge | find_boundaries(np.where(edge, 0, classes), mode="inner", background=0)
    picture[outlined] = COLORS[(labels[outlined] - 1) % len(COLORS)]
    return picture


def _markdown(report: Report) -> str:
    lines = [f"# Audit of {to_markdown(report.title)}", "", to_markdown(report.summary), ""]
    for finding in report.findings:
        remedy = f" Try {to_markdown(finding.remedy)}" if finding.remedy else ""
        lines.append(f"- **{finding.level}, {finding.rule}**: {to_markdown(finding.sentence)}{remedy}")
    lines += ["", "| fact | value |", "| --- | --- |"]
    for fact in report.overview.items():
        name, value = map(to_markdown_cell, fact)
        lines.append(f"| {name} | {value} |")
    lines += ["", "Every case has its row in cases.csv; audit.html shows pictures."]
    return "\n".join(lines) + "\n"


def _html(report: Report) -> str:
    legend = []
    for i, name in enumerate(report.class_names[1:]):
        color = ",".join(map(str, COLORS[i % len(COLORS)]))
        legend.append(f"<span class=key style='background:rgb({color})'></span>{escape(name)}")
    return _PAGE.format(
        title=escape(report.title),
        style=_STYLE,
        summary=escape(report.summary),
        findings="".join(map(_finding, report.findings)) or "<p>Nothing was found.</p>",
        facts="".join(f"<tr><th>{escape(name)}<td>{escape(value)}" for name, value in report.overview.items()),
        legend=" ".join(legend),
        pictures="".join(_picture(report, name) for name in report.pictures),
        table=_table(report.rows),
    )


def _finding(finding: Finding) -> str:
    names = escape(", ".join(finding.cases))
    if len(finding.cases) > SHOWN:
        names = f"<details><summary>{len(finding.cases)} cases</summary>{names}</details>"
    head = f"<h3><b>{escape(finding.level)}</b> {escape(finding.rule)}</h3>"
    remedy = f"<p>Try <code>{escape(finding.remedy)}</code></p>" if finding.remedy else ""
    body = f"<p>{escape(finding.sentence)}</p>{remedy}<div class=cases>{names}</div>"
    return f"<article class={escape(finding.level)}>{head}{body}</article>"


def _picture(report: Report, name: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(report.pictures[name]).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    row = next(row for row in report.rows if row["case"] == name)
    rules = [finding.rule for finding in report.findings if finding.level != "note" and name in finding.cases]
    about = "".join(f"<span class=rule>{escape(rule)}</span>" for rule in rules)
    image = f"<img alt='{escape(name, quote=True)}' src='data:image/png;base64,{data}'>"
    return f"<figure>{image}<figcaption>{escape(name)} <i>{escape(str(row['split']))}</i>{about}</figcaption></figure>"


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(str(column))}" for column in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(_short(value))}" for value in row.values()) for row in rows)
    table = f"<div class=wide><table><tr>{head}{body}</table></div>"
    return f"<details><summary>All {len(rows)} cases</summary>{table}</details>"


def _short(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Audit of {title}</title><style>{style}</style></head><body>
<h1>Audit of {title}</h1><p>{summary}</p>
<h2>Findings</h2>{findings}
<h2>Facts</h2><table class=facts>{facts}</table>
<h2>Cases</h2><p>Outlines: {legend}. Volumes: the middle slice. Each picture is stretched to its own range.</p>
<div class=grid>{pictures}</div>
{table}
</body></html>
"""

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1c1f; --paper: #fff; --soft: #f2f3f5; --line: #d6d9dd; --dim: #5d646c;
  --error: #b3261e; --warning: #96600a; --note: #2a63a8 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --paper: #16181b; --soft: #212428; --line: #3a3f45;
  --dim: #a2a9b1; --error: #ff8a80; --warning: #f0b354; --note: #8ab8f0 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1120px;
  margin: 0 auto; padding: 24px }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 19px; margin: 28px 0 10px } h3 { font-size: 15px; margin: 0 }
article { border-left: 4px solid; background: var(--soft); padding: 8px 14px; margin: 8px 0; overflow-wrap: anywhere }
article p { margin: 2px 0 } article.error { border-color: var(--error) } article.error b { color: var(--error) }
article.warning { border-color: var(--warning) } article.warning b { color: var(--warning) }
article.note { border-color: var(--note) } article.note b { color: var(--note) }
.cases, i { color: var(--dim); font-size: 13px }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } .facts th { white-space: nowrap }
th, td { text-align: left; padding: 3px 14px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: 16px }
figure { margin: 0 } img { width: 100%; display: block; border-radius: 4px }
figcaption { font-size: 13px; overflow-wrap: anywhere }
.rule { display: block; color: var(--warning); font-size: 12px }
.key { display: inline-block; width: 12px; height: 12px; border-radius: 2px; margin: 0 5px -1px 8px }
body > details { margin-top: 28px } summary { cursor: pointer } body > details > summary { font-weight: 600 }
.wide { overflow-x: auto; font-size: 13px }
.wide td, .wide th { white-space: nowrap }
"""
