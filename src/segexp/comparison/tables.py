"""A comparison as tables: for the terminal, Markdown, CSV and LaTeX."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from segexp.comparison.comparison import shown_unit
from segexp.comparison.content import Content, Marginal, Pair, Table
from segexp.comparison.statistics.intervals import Interval
from segexp.foreign import is_number, one_line, to_cell, to_latex, to_markdown, to_markdown_cell
from segexp.terminal import Console
from segexp.terminal import Table as RichTable

ROOMY = 150  # characters in a line of the terminal that show all columns


@dataclass(frozen=True)
class Sheet:
    """A table of text.

    Args:
        title: Title above the table.
        columns: Heads of the columns.
        rows: Cells of each row.
        notes: Sentences below the table.
        narrow: Indices of the columns that stay where there is little room; empty = all.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: tuple[str, ...] = ()
    narrow: tuple[int, ...] = ()


def sheets(content: Content, every_class: bool = True) -> list[Sheet]:
    """All tables of a comparison.

    Args:
        content: Result of `segexp.comparison.comparison.compare`.
        every_class: Whether to add the tables of single classes.
    """
    experiments = content["experiments"]
    found = [_overview(content)]
    if content["differences"]:
        heads = ["what differs", *(item["letter"] for item in experiments)]
        rows = [[row["key"], *map(_cell, row["values"])] for row in content["differences"]]
        found.append(Sheet("Configuration", heads, rows))
    found += [_scores(content, table) for table in content["tables"] if every_class or table["class"] is None]
    if content["of_sets"]:
        rows = [
            [row["metric"], row["letter"], _cell(row["mean"]), _cell(row["sd"]), str(row["runs"])]
            for row in content["of_sets"]
        ]
        heads = ["metric", "experiment", "mean", "sd over runs", "runs"]
        found.append(Sheet("Metrics of whole sets of cases", heads, rows))
    found += _positions(content) if every_class else []
    found += [_marginal(content, item) for item in content["marginals"]]
    return found


def _positions(content: Content) -> list[Sheet]:
    """Dice of each class by tenths of the slices along the organ, where experiments have it."""
    experiments = content["experiments"]
    names = dict.fromkeys(name for item in experiments for name in item["positions"])
    heads = ["", "experiment", *(f"{10 * tenth} to {10 * tenth + 10} %" for tenth in range(10))]
    return [
        Sheet(
            f"positions of {name}, dice by tenths of the slices, means over runs",
            heads,
            [
                [item["letter"], item["name"], *(_cell(value, 3) for value in item["positions"].get(name, [None] * 10))]
                for item in experiments
            ],
        )
        for name in names
    ]


def _overview(content: Content) -> Sheet:
    rows = []
    for item in content["experiments"]:
        cost = item["cost"]
        rows.append(
            [
                item["letter"],
                item["name"],
                str(len(item["runs"])),
                str(len({run["seed"] for run in item["runs"]})),
                str(len({run["fold"] for run in item["runs"]})),
                "" if cost["parameters"] is None else f"{cost['parameters']:,}",
                _cell(cost["minutes"], 1),
                _cell(cost["peak_memory_mib"], 1),
                _cell(cost["energy_wh"]),
                "yes" if item["letter"] in content["pareto"] else "",
            ]
        )
    heads = ["", "experiment", "runs", "seeds", "folds", "parameters", "minutes", "MiB", "Wh", "Pareto"]
    best = [content["best"] + "."] if "best" in content else []
    notes = ("Pareto: no other is better in score, minutes and parameters at once.", *best, *content["warnings"])
    return Sheet("Experiments", heads, rows, notes, (0, 1, 2, 5, 6, 9))


def _scores(content: Content, table: Table) -> Sheet:
    pairs = {pair["letter"]: pair for pair in table["pairs"]}
    rows = []
    for item, summary in zip(content["experiments"], table["summaries"], strict=True):
        interval = summary.interval
        rows.append(
            [
                item["letter"],
                item["name"],
                str(interval.cases),
                _cell(interval.value),
                _range(interval, 1.0),
                _cell(summary.sd_seeds),
                _cell(summary.sd_folds),
                *_pair(pairs.get(item["letter"]), table),
            ]
        )
    unit, _ = shown_unit(table["unit"])
    of = f" of {table['class']}" if table["class"] else ""
    difference = f"− {content['baseline']}{f' ({unit})' if unit else ''}"
    heads = ["", "experiment", "cases", "mean", "95 % interval", "sd seeds", "sd folds"]
    heads += [difference, "95 % interval", "p (Holm)", "p signed-rank", "d_z"]
    notes = (*(pair["sentence"] + "." for pair in table["pairs"]), f"{table['metric']}: {table['protocol']}.")
    return Sheet(f"{table['metric']}{of}, {table['better']} is better", heads, rows, notes, (0, 3, 4, 7, 8, 9))


def _pair(pair: Pair | None, table: Table) -> list[str]:
    """Cells of a difference to the baseline; empty for the baseline itself."""
    if pair is None:
        return [""] * 5
    scale = shown_unit(table["unit"])[1]
    found = pair["comparison"]
    return [
        _cell(scale * found.interval.value, 2 if scale > 1 else 4),
        _range(found.interval, scale),
        _p(found.p_holm),
        _p(found.p_wilcoxon),
        _cell(found.d_z, 2),
    ]


def _marginal(content: Content, item: Marginal) -> Sheet:
    rows = [
        [
            _cell(effect.value),
            str(effect.experiments),
            _cell(effect.mean.value),
            _range(effect.mean, 1.0),
            _cell(effect.effect.value),
            _range(effect.effect, 1.0),
        ]
        for effect in item["effects"]
    ]
    matched = all(effect.matched for effect in item["effects"])
    note = () if matched else ("not all values were tried with the same other settings: they do not compare alone.",)
    heads = [item["key"], "experiments", "mean", "95 % interval", "− mean of all", "95 % interval"]
    return Sheet(f"Marginal effect of {item['key']} on {content['tables'][0]['metric']}", heads, rows, note)


def _range(interval: Interval, scale: float) -> str:
    return range_text(scale * interval.low, scale * interval.high, 2 if scale > 1 else 4)


def range_text(low: float, high: float, digits: int) -> str:
    """Write the ends of an interval; nothing where they are not known."""
    return "" if math.isnan(low) else f"{low:.{digits}f} to {high:.{digits}f}".replace("-", "−")


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _cell(value: object, digits: int = 4) -> str:
    if value is None or value != value:  # undefined, or nan
        return ""
    return f"{value:.{digits}f}".replace("-", "−") if isinstance(value, float) else str(value)


def terminal(found: Sequence[Sheet]) -> str:
    """Tables for a terminal."""
    console = Console(color_system=None)
    with console.capture() as capture:
        for sheet in found:
            table = RichTable(title=sheet.title, title_justify="left")
            shown = sheet.narrow if sheet.narrow and console.width < ROOMY else range(len(sheet.columns))
            for place in shown:
                table.add_column(sheet.columns[place], no_wrap=place != 1)
            for row in sheet.rows:
                table.add_row(*(row[place] for place in shown))
            console.print(table)
            for note in sheet.notes:
                console.print(note, highlight=False)
            console.print()
    return capture.get()


def markdown(found: Sequence[Sheet]) -> str:
    """Tables for a README."""
    parts = []
    for sheet in found:
        lines = [map(to_markdown_cell, sheet.columns), ["---"] * len(sheet.columns)]
        lines += [map(to_markdown_cell, row) for row in sheet.rows]
        rows = [f"| {' | '.join(line)} |" for line in lines]
        notes = [f"- {to_markdown(note)}" for note in sheet.notes]
        parts.append("\n".join([f"### {to_markdown(sheet.title)}", "", *rows, "", *notes]).rstrip())
    return "\n\n".join(parts) + "\n"


def comma_separated(found: Sequence[Sheet]) -> str:
    """One block per table, an empty line between them; the title is the first column."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for sheet in found:
        writer.writerow(["table", *map(to_cell, sheet.columns)])
        writer.writerows([to_cell(sheet.title), *map(_plain_number, row)] for row in sheet.rows)
        text.write("\n")
    return text.getvalue()


def _plain_number(cell: str) -> object:
    """Write a number with the sign that programs read; quote what they would compute."""
    plain = cell.replace("−", "-")
    return plain if is_number(plain) else to_cell(cell)


def latex(found: Sequence[Sheet]) -> str:
    """Tables in the style of the package booktabs."""
    lines = []
    for sheet in found:
        columns = "l" * min(2, len(sheet.columns)) + "r" * max(0, len(sheet.columns) - 2)
        cells = [[to_latex(cell) for cell in row] for row in (sheet.columns, *sheet.rows)]
        head, *rows = [" & ".join(row) + r" \\" for row in cells]
        lines += [r"\begin{table}", rf"\caption{{{to_latex(sheet.title)}}}"]
        lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
        lines += [r"\end{tabular}", *(f"% {one_line(note)}" for note in sheet.notes), r"\end{table}", ""]
    return "\n".join(lines)


FORMATS = {"terminal": terminal, "markdown": markdown, "csv": comma_separated, "latex": latex}
