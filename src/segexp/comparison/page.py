"""The page of a comparison: one HTML file that opens from the disk and asks no network for anything."""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

import numpy as np

from segexp.comparison.comparison import Content, unit_of
from segexp.comparison.page_pictures import pictures
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
PAIR = ("p_holm", "p_wilcoxon", "p_permutation", "d_z", "rank_biserial")


def page(content: Content, runs: Sequence[Run]) -> str:
    """Write a comparison as a page.

    Args:
        content: From `segexp.comparison.comparison.compare`; where it has "command", that is cited.
        runs: Those that were compared, for their pictures.

    Returns:
        HTML with style, script, figures and pictures in it; below 5 MB for some hundred runs.
    """
    data = _data(content, runs)
    room = min(PICTURES, WHOLE - len(_json(data)))
    data["pictures"] = pictures(content, runs, room)
    style = _asset("page.css")
    script = "\n".join(map(_asset, SCRIPTS))
    parts = {
        "title": html.escape(f"Comparison of {_count(len(data['experiments']), 'experiment')}"),
        "policy": f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
        "style": style,
        "script": script,
        "data": _json(data),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html"))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What a content security policy calls the text by, so that no other script or style is obeyed."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").encode(errors="replace").decode()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _data(content: Content, runs: Sequence[Run]) -> Content:
    """All that the script draws from, but for the pictures."""
    letters = [item["letter"] for item in content["experiments"]]
    case_lists: list[list[str]] = []
    room = SCORES
    tables = []
    for table in content["tables"]:
        tables.append(_table(table, letters, case_lists, room))
        room -= len(tables[-1]["scores"] or "")
    return {
        "made": f"{datetime.now().astimezone():%d %B %Y, %H:%M}".lstrip("0"),
        "version": ", ".join(sorted({str(run.record.get("segexp_version", "unknown")) for run in runs})),
        "command": content.get("command"),
        "baseline": letters.index(content["baseline"]),
        "experiments": [_experiment(item, content["pareto"]) for item in content["experiments"]],
        "differences": [{"key": r["key"], "values": [*map(_word, r["values"])]} for r in content["differences"]],
        "warnings": content["warnings"],
        "tables": tables,
        "cases": case_lists,
        "sets": [
            {"figure": row["figure"], "experiment": letters.index(row["letter"]), "runs": row["runs"]}
            | {key: _round(row[key]) for key in ("mean", "sd")}
            for row in content["of_sets"]
        ],
        "marginals": [_marginal(item) for item in content["marginals"]],
        "reliability": _reliability([item["reliability"] for item in content["experiments"]]),
        "curves": _curves([item["curves"] for item in content["experiments"]]),
    }


def _experiment(item: Content, pareto: Sequence[str]) -> Content:
    return {
        "letter": item["letter"],
        "name": item["name"],
        "runs": len(item["runs"]),
        "seeds": len({run["seed"] for run in item["runs"]}),
        "folds": len({run["fold"] for run in item["runs"]}),
        "cost": {name: _round(value) for name, value in item["cost"].items()},
        "pareto": item["letter"] in pareto,
    }


def _table(table: Content, letters: Sequence[str], case_lists: list[list[str]], room: int) -> Content:
    """One metric and class: rows of figures in the order of the experiments, scores of cases where there is room."""
    if table["cases"] not in case_lists:
        case_lists.append(table["cases"])
    pairs = {pair["letter"]: pair for pair in table["pairs"]}
    means = {letter: one["interval"]["value"] for letter, one in zip(letters, table["summaries"], strict=True)}
    told = sorted(table["pairs"], key=lambda pair: _rank(means[pair["letter"]], table["better"]))[:SENTENCES]
    unit, scale = unit_of(table["metric"])
    low, step, packed = _packed(table["scores"])
    spread = ("sd_cases", "sd_seeds", "sd_folds")
    return {
        **{key: table[key] for key in ("metric", "class", "better", "protocol")},
        "unit": unit,
        "scale": scale,
        "means": [_numbers([*_ends(one["interval"]), *map(one.get, spread)]) for one in table["summaries"]],
        "pairs": [
            _numbers([*_ends(pairs[letter]["interval"]), *map(pairs[letter].get, PAIR)]) if letter in pairs else None
            for letter in letters
        ],
        "sentences": [[letters.index(pair["letter"]), pair["sentence"]] for pair in told],
        "cases": case_lists.index(table["cases"]),
        "low": low,
        "step": step,
        "scores": packed if len(packed) <= room else None,
    }


def _rank(mean: float | None, better: str) -> float:
    """Key that puts the best mean first, and none last."""
    return math.inf if mean is None else -mean if better == "higher" else mean


def _ends(interval: Content) -> list[Any]:
    return [interval[key] for key in ("value", "low", "high", "cases")]


def _packed(rows: Sequence[Sequence[float | None]]) -> tuple[float, float, str]:
    """Scores as 16-bit numbers in base64, experiment by experiment: score = low + step * number."""
    values = np.array(rows, dtype=float)
    known = np.isfinite(values)
    if not known.any():
        return 0.0, 0.0, base64.b64encode(np.full(values.size, MISSING, "<u2").tobytes()).decode()
    low, high = float(values[known].min()), float(values[known].max())
    step = (high - low) / (MISSING - 1)
    places = np.where(known, np.rint((np.where(known, values, low) - low) / (step or 1.0)), MISSING)
    return low, step, base64.b64encode(places.astype("<u2").tobytes()).decode()


def _marginal(item: Content) -> Content:
    rows = [
        {
            "value": _word(effect["value"]),
            "mean": _numbers(_ends(effect["mean"])),
            "effect": _numbers(_ends(effect["effect"])),
            "experiments": effect["experiments"],
        }
        for effect in item["effects"]
    ]
    return {"key": item["key"], "matched": all(effect["matched"] for effect in item["effects"]), "rows": rows}


def _curves(experiments: Sequence[Sequence[Content]]) -> Content:
    """Learning curves, thinned to the same epochs everywhere."""
    runs = [(index, run) for index, curves in enumerate(experiments) for run in curves if run.get("epoch")]
    names = list(dict.fromkeys(key for _, run in runs for key in run if key not in ("seed", "fold", "epoch")))
    longest = max((len(run["epoch"]) for _, run in runs), default=0)
    most = max(10, min(MOST_EPOCHS, POINTS // max(1, len(runs) * len(names))))
    stride = math.ceil(longest / most) or 1
    epochs: list[list[Any]] = []
    packed = []
    for index, run in runs:
        last = len(run["epoch"]) - 1
        kept = sorted({*range(0, last + 1, stride), last})
        own = _numbers(run["epoch"][place] for place in kept)
        if own not in epochs:
            epochs.append(own)
        lines = [_numbers(run[name][place] for place in kept) if name in run else None for name in names]
        packed.append([index, epochs.index(own), _replicate(run), lines])
    return {"names": names, "stride": stride, "epochs": epochs, "runs": packed}


def _reliability(experiments: Sequence[Content]) -> Content:
    """Per class and experiment, [probability, share, pixels] of each filled bin."""
    names = list(dict.fromkeys(name for diagrams in experiments for name in diagrams))
    return {name: [_points(diagrams.get(name)) for diagrams in experiments] for name in names}


def _points(diagram: Content | None) -> list[list[Any]] | None:
    if diagram is None:
        return None
    bins = zip(diagram["probability"], diagram["share"], diagram["pixels"], strict=True)
    return [_numbers(point) for point in bins if point[2]]


def _replicate(run: Content) -> str:
    return f"seed {run['seed']}" + ("" if run["fold"] is None else f", fold {run['fold']}")


def _numbers(values: Iterable[Any]) -> list[Any]:
    return [_round(value) for value in values]


def _round(value: Any) -> Any:
    """Five digits of a number; None where there is none."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.5g}")
    return int(short) if short.is_integer() else short


def _word(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
