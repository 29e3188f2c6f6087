"""The page of a comparison: one HTML file that opens from the disk and asks no network for anything."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import cast

import numpy as np

from segexp.comparison.comparison import shown_unit
from segexp.comparison.content import Content, Curve, Diagram, ExperimentFacts, Marginal, Table, ranked
from segexp.comparison.page_pictures import pictures, replicate_name
from segexp.comparison.statistics.intervals import Interval
from segexp.runs.files import Json
from segexp.runs.runs import Run

ASSETS = files("segexp.comparison") / "page_assets"
SCRIPTS = ("base.js", "tables.js", "plots.js", "cases.js", "page.js")
WHOLE = 4_600_000  # bytes of the page that are aimed at
PICTURES = 2_500_000  # bytes of them that pictures may take
SCORES = 1_200_000  # bytes that the scores of single cases may take
POINTS = 150_000  # of all learning curves
MOST_EPOCHS = 100  # points of one curve
SENTENCES = 60  # of a table, those of the best experiments
MISSING = 65535  # stands for a case without a score


def page(content: Content, runs: Sequence[Run]) -> str:
    """Write a comparison as a page.

    Args:
        content: Result of `segexp.comparison.comparison.compare`; where it has "command", that is cited.
        runs: Runs that were compared, for their pictures.

    Returns:
        HTML with style, script, data and pictures in it; below 5 MB for some hundred runs.
    """
    data = _data(content, runs)
    room = min(PICTURES, WHOLE - len(_json(data)))
    data = {**data, "pictures": pictures(content, runs, room)}
    style = asset("page.css")
    script = "\n".join(map(asset, SCRIPTS))
    count = len(content["experiments"])
    parts = {
        "title": f"Comparison of {count} experiment{'' if count == 1 else 's'}",
        "policy": f"default-src 'none'; img-src data:; style-src '{digest(style)}'; script-src '{digest(script)}'",
        "style": style,
        "script": script,
        "data": _json(data),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], asset("page.html"))


def asset(name: str) -> str:
    """Read a part of the page, such as page.css."""
    return (ASSETS / name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """Hash that a content security policy knows the text by, so that no other script or style is run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: Json) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").encode(errors="replace").decode()


def _data(content: Content, runs: Sequence[Run]) -> Mapping[str, Json]:
    """Data that the script draws from, but for the pictures."""
    letters = [item["letter"] for item in content["experiments"]]
    # Tables that score the same cases share one list of their names.
    case_lists: list[list[str]] = []
    for table in content["tables"]:
        if table["cases"] not in case_lists:
            case_lists.append(table["cases"])
    # The scores of single cases are the largest part: later tables go without them once the room is used up.
    room, tables = SCORES, []
    for table in content["tables"]:
        low, step, packed = _packed(table["scores"])
        scores = packed if len(packed) <= room else None
        room -= len(scores or "")
        facts = {"cases": case_lists.index(table["cases"]), "low": low, "step": step, "scores": scores}
        tables.append({**_table(table, letters), **facts})
    return {
        "made": f"{datetime.now().astimezone():%d %B %Y, %H:%M}".lstrip("0"),
        "version": ", ".join(sorted({run.record.get("segexp_version", "unknown") for run in runs})),
        "command": content.get("command"),
        "baseline": letters.index(content["baseline"]),
        "experiments": [_experiment(item, content["pareto"]) for item in content["experiments"]],
        "differences": [{"key": row["key"], "values": [*map(_cell, row["values"])]} for row in content["differences"]],
        "warnings": [*([content["best"]] if "best" in content else []), *content["warnings"]],
        "tables": tables,
        "cases": case_lists,
        "sets": [
            {
                "metric": row["metric"],
                "experiment": letters.index(row["letter"]),
                "runs": row["runs"],
                "mean": _round(row["mean"]),
                "sd": _round(row["sd"]),
            }
            for row in content["of_sets"]
        ],
        "marginals": [_marginal(item) for item in content["marginals"]],
        "reliability": _reliability([item["reliability"] for item in content["experiments"]]),
        "positions": _positions([item["positions"] for item in content["experiments"]]),
        "curves": _curves([item["curves"] for item in content["experiments"]]),
    }


def _experiment(item: ExperimentFacts, pareto: Sequence[str]) -> Json:
    return {
        "letter": item["letter"],
        "name": item["name"],
        "runs": len(item["runs"]),
        "seeds": len({run["seed"] for run in item["runs"]}),
        "folds": len({run["fold"] for run in item["runs"]}),
        "cost": {name: _round(cast(float | None, value)) for name, value in item["cost"].items()},
        "pareto": item["letter"] in pareto,
    }


def _table(table: Table, letters: Sequence[str]) -> Mapping[str, Json]:
    """One metric and class: rows of numbers in the order of the experiments, sentences of the best ones."""
    best = [letters[place] for place in ranked(table)]
    pairs = sorted(table["pairs"], key=lambda pair: best.index(pair["letter"]))
    rows = {}
    for pair in table["pairs"]:
        found = pair["comparison"]
        tests = (found.p_holm, found.p_wilcoxon, found.p_permutation, found.d_z, found.rank_biserial)
        rows[pair["letter"]] = _numbers([*_ends(found.interval), *tests])
    unit, scale = shown_unit(table["unit"])
    return {
        "metric": table["metric"],
        "class": table["class"],
        "better": table["better"],
        "protocol": table["protocol"],
        "unit": unit,
        "scale": scale,
        "means": [
            _numbers([*_ends(one.interval), one.sd_cases, one.sd_seeds, one.sd_folds]) for one in table["summaries"]
        ],
        "pairs": [rows.get(letter) for letter in letters],
        "sentences": [[letters.index(pair["letter"]), pair["sentence"]] for pair in pairs[:SENTENCES]],
    }


def _ends(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high, interval.cases]


def _packed(rows: Sequence[Sequence[float | None]]) -> tuple[float, float, str]:
    """Scores as 16-bit numbers in base64, experiment by experiment: score = low + step * number."""
    values = np.array(rows, dtype=float)
    known = np.isfinite(values)
    ends = values[known] if known.any() else np.zeros(1)
    low = float(ends.min())
    step = (float(ends.max()) - low) / (MISSING - 1)
    places = np.where(known, np.rint((np.where(known, values, low) - low) / (step or 1.0)), MISSING)
    return low, step, base64.b64encode(places.astype("<u2").tobytes()).decode()


def _marginal(item: Marginal) -> Json:
    rows: list[Json] = [
        {
            "value": _cell(effect.value),
            "mean": _numbers(_ends(effect.mean)),
            "effect": _numbers(_ends(effect.effect)),
            "experiments": effect.experiments,
        }
        for effect in item["effects"]
    ]
    return {"key": item["key"], "matched": all(effect.matched for effect in item["effects"]), "rows": rows}


def _curves(experiments: Sequence[Sequence[Curve]]) -> Json:
    """Learning curves, thinned to the same epochs everywhere; epochs count from 1."""
    runs = [(index, run) for index, curves in enumerate(experiments) for run in curves if run["columns"].get("epoch")]
    names = list(dict.fromkeys(name for _, run in runs for name in run["columns"] if name != "epoch"))
    # A stride that keeps each curve below MOST_EPOCHS points, and all of them together below POINTS.
    longest = max((len(run["columns"]["epoch"]) for _, run in runs), default=0)
    most = max(10, min(MOST_EPOCHS, POINTS // max(1, len(runs) * len(names))))
    stride = math.ceil(longest / most) or 1
    epochs: list[list[float | None]] = []
    packed: list[Json] = []
    for index, run in runs:
        columns = run["columns"]
        last = len(columns["epoch"]) - 1
        kept = sorted({*range(0, last + 1, stride), last})
        thinned = {name: _numbers(values[place] for place in kept) for name, values in columns.items()}
        counted = [None if epoch is None else epoch + 1 for epoch in thinned["epoch"]]
        # Runs of the same length share one list of epochs.
        if counted not in epochs:
            epochs.append(counted)
        lines = [thinned.get(name) for name in names]
        packed.append([index, epochs.index(counted), replicate_name(run["seed"], run["fold"]), lines])
    return {"names": names, "stride": stride, "epochs": epochs, "runs": packed}


def _reliability(experiments: Sequence[Mapping[str, Diagram]]) -> Json:
    """Per class and experiment, [probability, share, pixels] of each filled bin."""
    names = list(dict.fromkeys(name for diagrams in experiments for name in diagrams))
    return {name: [_points(diagrams.get(name)) for diagrams in experiments] for name in names}


def _positions(experiments: Sequence[Mapping[str, Sequence[float | None]]]) -> Json:
    """Per class and experiment, the Dice of each tenth of the slices."""
    names = list(dict.fromkeys(name for lines in experiments for name in lines))
    return {name: [_numbers(lines[name]) if name in lines else None for lines in experiments] for name in names}


def _points(diagram: Diagram | None) -> list[list[float | None]] | None:
    if diagram is None:
        return None
    bins = zip(diagram["probability"], diagram["share"], diagram["pixels"], strict=True)
    return [_numbers(point) for point in bins if point[2]]


def _numbers(values: Iterable[float | None]) -> list[float | None]:
    return [_round(value) for value in values]


def _round(value: float | None) -> float | None:
    """Five digits of a number; None where there is none."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.5g}")
    return int(short) if short.is_integer() else short


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
