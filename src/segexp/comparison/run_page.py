"""The page of a run: one HTML file that opens from the disk and asks no network for anything."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from segexp.comparison.case_order import case_scores, number_of, worst_median_best
from segexp.comparison.comparison import compare
from segexp.comparison.line_chart import line_chart
from segexp.comparison.page import asset, digest
from segexp.comparison.page_pictures import data_url
from segexp.comparison.run_tables import DIGITS, amount, definitions, facts_list, sortable_table, written
from segexp.errors import some
from segexp.pictures.figures import COLORS
from segexp.runs.files import Rows
from segexp.runs.results import account
from segexp.runs.runs import Run, find_runs, flat_settings
from segexp.writing import write_text

PICTURES = 3_000_000  # bytes that pictures may take
UNFOLDED = 12  # pictures that are seen at once
LONGEST = 1400  # pixels of their longer side
WIDEST = 12_000  # pixels of a row of diagrams, one per class
INTERVAL = "95 % interval over the cases"  # of the split that counts
SHOWN_CASES = 12  # names of a split
RELIABILITY = (
    "How often a probability came true, by class. On the diagonal it is what it says; above, the network was too "
    "careful; below, too sure. Gray: how many pixels have such a probability."
)
POSITIONS = (
    "Dice by tenths of the slices that truth or prediction of a class occupy, with its 95 % interval; below, slices "
    "where the class was missed (blue) or invented (orange)."
)
SECTIONS = {
    "scores": "Scores",
    "curves": "Learning curves",
    "pictures": "Cases: worst, median, best, then the others",
    "calibration": "Calibration",
    "positions": "Along the organ",
    "cases": "Case by case",
    "settings": "What was chosen",
    "data": "Data",
    "cost": "What it cost",
    "again": "How to repeat it",
    "protocol": "How it was measured",
}


def run_page(run: Run) -> str:
    """Write a finished run as a page.

    Args:
        run: The run; its small files and pictures are read, checkpoints never.

    Returns:
        HTML with style, script, data and pictures in it.

    Raises:
        ValueError: The run has not ended well.
    """
    if not run.results:
        raise ValueError(f"{run.folder} has no results: it is {run.status}; a page is written of runs that ended well")
    parts = {
        "scores": _scores(run),
        "curves": _curves(run.curves),
        "pictures": _pictures(run),
        "calibration": _diagram(run, "reliability", RELIABILITY),
        "positions": _diagram(run, "positions", POSITIONS),
        "cases": sortable_table(run.cases, "split"),
        "settings": _settings(run),
        "data": _data(run),
        "cost": facts_list(_cost(run)),
        "again": _again(run),
        "protocol": definitions(run.results["protocol"].get(run.split, {})),
    }
    body = "".join(
        f"<section id='s-{name}'><h2>{title}</h2>{parts[name]}</section>"
        for name, title in SECTIONS.items()
        if parts[name]
    )
    style, script = asset("page.css") + asset("run.css") + _class_colors(), asset("run.js")
    policy = f"default-src 'none'; img-src data:; style-src '{digest(style)}'; script-src '{digest(script)}'"
    title = escape(_name(run))
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta name='color-scheme' content='light dark'>"
        f"<title>{title}</title><style>{style}</style></head><body><header><h1>{title}</h1>"
        f"<div id='verdict'>{_summary(run)}</div></header><main>{body}</main>"
        f"<dialog id='large'><img alt=''><p></p></dialog><script>{script}</script></body></html>\n"
    )


def _class_colors() -> str:
    """Style of the colors that classes have in pictures."""
    return "".join(f".p{n} {{ --own: rgb({','.join(map(str, color))}) }}\n" for n, color in enumerate(COLORS.tolist()))


def _name(run: Run) -> str:
    config = run.record.get("config", {})
    return f"{config.get('name', 'run')} / {run.folder.resolve().name}"


def _summary(run: Run) -> str:
    """Sentences: what was trained on what, how good it is, which epoch, why the training ended."""
    results, choices = run.results, run.choices
    headline = results["headline"]
    model, loss, data = (choices.get(group) or "own" for group in ("model", "loss", "data"))
    value = headline["value"]
    score = "undefined" if value is None else f"{value:.{DIGITS}f}"
    better = "higher" if headline.get("higher_is_better", True) else "lower"
    chosen = results.get("chosen_on_val", {})
    note = headline.get("note", "scored on whole cases")
    sentences = [
        f"{model} with loss {loss} on {data}: {headline['metric']} {score} ({better} is better), {note}.",
        f"{account(results)}." if "scored" in results else "",
        f"Best epoch: {int(chosen['epoch']) + 1}, by {chosen['by']}." if "epoch" in chosen else "",
    ]
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences if sentence)


def _scores(run: Run) -> str:
    """Table of all scores by split."""
    splits = [split for split in ("train", "val", "test") if split in run.results]
    scores: dict[str, Any] = {split: run.results[split] for split in splits}
    names = dict.fromkeys(name for of in scores.values() for name in of)
    intervals = _intervals(run)
    rows = [
        {"metric": name, **{split: of.get(name) for split, of in scores.items()}, INTERVAL: intervals.get(name, "")}
        for name in names
        if not _is_repeated(name, scores[run.split])
    ]
    undefined = run.results.get("undefined", {}).get(run.split, {})
    notes = [f"{name}: undefined in {count} cases" for name, count in undefined.items() if count]
    return sortable_table(rows) + "".join(f"<p class=dim>{escape(note)}</p>" for note in notes)


def _is_repeated(name: str, scores: Mapping[str, Any]) -> bool:
    """Whether a score is that of the only class, which the mean over classes tells."""
    return any(name.startswith(f"{other}_") and scores[name] == scores[other] for other in scores if other != name)


def _intervals(run: Run) -> dict[str, str]:
    """Interval over the cases of each score that is a mean over them."""
    found = {}
    for table in compare([run])["tables"]:
        (summary,) = table["summaries"]
        low, high = summary.interval.low, summary.interval.high
        name = f"{table['metric']}_{table['class']}" if table["class"] else table["metric"]
        found[name] = "" if math.isnan(low) else f"{low:.{DIGITS}f} to {high:.{DIGITS}f}"
    return found


def _curves(rows: Rows) -> str:
    """Charts of the loss and of the validation scores against the epoch, from 1."""
    columns = list(rows[0]) if rows else []
    losses = [name for name in ("train/loss", "val/loss") if name in columns]
    scores = [name for name in columns if name.startswith("val/") and "loss" not in name]
    scores = [name for name in scores if not _is_repeated(name, {one: _column(rows, one) for one in scores})]
    means = [name for name in scores if not any(name.startswith(f"{other}_") for other in scores)]
    charts = [line_chart("loss", _lines(rows, losses))] if losses else []
    for name in means:
        charts.append(line_chart(name, _lines(rows, [name, *(one for one in scores if one.startswith(f"{name}_"))])))
    return f"<div class=charts>{''.join(charts)}</div>" if charts else ""


def _column(rows: Rows, name: str) -> list[str]:
    return [row[name] for row in rows]


def _lines(rows: Rows, names: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    lines = {}
    for name in names:
        points = [(float(row["epoch"]) + 1, number_of(row[name])) for row in rows]
        lines[name] = [(x, y) for x, y in points if math.isfinite(y)]
    return {name: line for name, line in lines.items() if line}


def _pictures(run: Run) -> str:
    """Pictures of cases, the worst, median and best by the headline first; legend above."""
    metric = run.results["headline"]["metric"]
    means = case_scores(run.cases, metric, run.results["headline"].get("higher_is_better", True))
    first = worst_median_best(list(means)).values()
    room, found = PICTURES, []
    for case in dict.fromkeys([*first, *means, *(row["case"] for row in run.cases)]):
        url = data_url(run.files.figures / f"{run.split}_{case.replace('/', '_')}.png", LONGEST)
        if url is None or len(url) > room:
            continue
        room -= len(url)
        told = f"{case}: {metric} {means[case]:.{DIGITS}f}" if case in means else case
        found.append(_figure(url, told))
    if not found:
        return ""
    shown, others = "".join(found[:UNFOLDED]), "".join(found[UNFOLDED:])
    more = f"<details><summary>{len(found) - UNFOLDED} more</summary><div class=cards>{others}</div></details>"
    return f"<p class=dim>{_legend(run)}</p><div class=cards>{shown}</div>{more if others else ''}"


def _legend(run: Run) -> str:
    """Say what the panels of a picture are, and the color of each class and error."""
    labels: Any = run.record.get("config", {}).get("data", {}).get("labels", {})
    names = labels.get("regions") or labels.get("class_names", ["background"])[1:]
    classes = [
        f"<span class=whole><span class='p{place % len(COLORS)} key'></span>{escape(name)}</span>"
        for place, name in enumerate(names)
    ]
    return (
        f"From left to right: image, ground truth, prediction ({''.join(classes)}), error (blue: missed, orange: "
        "invented, pink: another class). A click makes a picture grow."
    )


def _diagram(run: Run, name: str, told: str) -> str:
    """Diagrams as they were drawn, with what they show; empty where there are none."""
    url = data_url(run.files.figures / f"{name}_{run.split}.png", WIDEST)
    if url is None:
        return ""
    return f"<p class=dim>{told}</p><div class=diagram><img alt='{told}' src='{url}'></div>"


def _figure(url: str, told: str) -> str:
    text = escape(told, quote=True)
    return f"<figure class=picture tabindex=0><img alt='{text}' src='{url}'><figcaption>{text}</figcaption></figure>"


def _settings(run: Run) -> str:
    """Overrides, the plan where there is one, and the whole configuration folded away."""
    record = run.record
    words = record.get("overrides", [])
    parts = [f"<p>Overrides: <code>{escape(' '.join(words))}</code></p>" if words else "<p>The defaults alone.</p>"]
    plan = run.files.plan()
    if plan:
        told = "<summary>The plan, each choice with its reason</summary>"
        parts.append(f"<details open>{told}<pre>{escape(plan)}</pre></details>")
    if "config" in record:
        flat = {key: written(value) for key, value in flat_settings(record["config"]).items()}
        parts.append(f"<details><summary>All {len(flat)} settings</summary>{facts_list(flat)}</details>")
    return "".join(parts)


def _data(run: Run) -> str:
    cases: Mapping[str, list[str]] = run.results.get("cases", {})
    facts = {split: f"{len(names)} cases: {some(names, SHOWN_CASES)}" for split, names in cases.items() if names}
    facts["fingerprint"] = str(run.record.get("data_fingerprint", ""))[:16]
    command = escape(f"segexp audit data={run.choices.get('data')}")
    return facts_list(facts) + f"<p class=dim>What the audit finds: <code>{command}</code></p>"


def _cost(run: Run) -> dict[str, str]:
    training: Mapping[str, Any] = run.results.get("training", {})
    names = {"minutes": "minutes of training", "epochs": "epochs", "patches_per_second": "patches per second"}
    names |= {"peak_memory_mib": "peak memory (MiB)", "energy_wh": "energy (Wh)"}
    facts = {told: amount(training[name]) for name, told in names.items() if training.get(name) is not None}
    facts |= {"parameters": f"{run.record.get('parameters', 0):,}"}
    machine = run.record.get("machine", {})
    facts["machine"] = ", ".join([*machine.get("gpus", []), str(machine.get("processor") or "")])
    return facts


def _again(run: Run) -> str:
    record = run.record
    git = record.get("git")
    code = f"{git['commit'][:10]}{', with uncommitted changes' if git['diff'] else ''}" if git else "not under git"
    packages = ", ".join(f"{name} {version}" for name, version in record.get("packages", {}).items())
    facts = {
        "command": " ".join(record.get("command", [])),
        "seed": str(record.get("seed", "")),
        "code": f"segexp {record.get('segexp_version', '')} ({code})",
        "packages": packages,
        "from": str(record.get("start", "")),
        "to": str(record.get("end", "")),
    }
    return facts_list(facts) + f"<p>Again: <code>segexp reproduce {escape(str(run.folder))}</code></p>"


def write_run_page(folder: Path) -> Path:
    """Write the page of a run into its folder; return its path."""
    run = find_runs([str(folder)])[0]
    write_text(run.files.page_path, run_page(run))
    return run.files.page_path
