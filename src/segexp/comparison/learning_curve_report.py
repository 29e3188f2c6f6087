"""Learning curves as sentences, a table, a picture, and plain values for JSON and CSV."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segexp.comparison.comparison import shown_unit
from segexp.comparison.learning_curve import FACTORS, Expected, LearningCurve, LearningCurves, turned
from segexp.comparison.statistics.power_law import Estimate, PowerLaw
from segexp.comparison.tables import Sheet, range_text
from segexp.pictures.figures import save_picture
from segexp.pictures.learning_curve import DrawnCurve, Point, draw_learning_curves
from segexp.runs.files import Json, table_text
from segexp.writing import write_text

DRAWN = 24  # values of a law in the picture
Row = dict[str, str | float]


def write_report(found: LearningCurves, folder: Path) -> list[Path]:
    """Write learning_curve.json, learning_curve.csv and learning_curve.png into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    content, table, picture = (folder / f"learning_curve.{kind}" for kind in ("json", "csv", "png"))
    write_text(content, json.dumps(as_json(found), indent=1, ensure_ascii=False) + "\n")
    write_text(table, table_text(rows(found)))
    what = found.metric if found.label is None else f"{found.metric} of {found.label}"
    save_picture(picture, draw_learning_curves([_drawn(curve, found) for curve in found.curves], what))
    return [content, table, picture]


def sheets(found: LearningCurves) -> list[Sheet]:
    """One table per curve, with what is expected of more cases, and its sentences below."""
    of = f" of {found.label}" if found.label else ""
    heads = ["training cases", "fraction", "runs", "seeds", "score", "95 % interval", "gain", "95 % interval"]
    tables = []
    for curve in found.curves:
        cells = [
            [
                f"{point.cases:.4g}",
                f"{point.fraction:g}",
                str(point.runs),
                str(point.seeds),
                f"{point.interval.value:.4f}",
                range_text(point.interval.low, point.interval.high, 4),
                "",
                "",
            ]
            for point in curve.points
        ]
        cells += [_expected_cells(one, found) for one in curve.expected]
        title = f"{curve.name}: {found.metric}{of}, {found.better} is better"
        tables.append(Sheet(title, heads, cells, tuple(sentences(curve, found))))
    if tables and found.warnings:
        last = tables[-1]
        tables[-1] = Sheet(last.title, last.columns, last.rows, (*last.notes, *found.warnings))
    return tables


def _expected_cells(one: Expected, found: LearningCurves) -> list[str]:
    unit, scale = shown_unit(found.unit)
    gain = f"{scale * one.gain.value:.2f} {unit}".strip()
    return [
        f"{one.cases:.4g}",
        f"× {one.factor:g}",
        "expected",
        "",
        f"{one.score.value:.4f}",
        range_text(one.score.low, one.score.high, 4),
        gain,
        range_text(scale * one.gain.low, scale * one.gain.high, 2),
    ]


def sentences(curve: LearningCurve, found: LearningCurves) -> list[str]:
    """Say what the law is and what more cases would bring, or why nothing can be said."""
    law = curve.law
    if law is None:
        return [f"nothing is said of more cases: {curve.refusal}."]
    end, exponent = turned(law.score(math.inf), found.better == "higher"), law.exponent()
    sign = "−" if found.better == "higher" else "+"
    ends, exponents = range_text(end.low, end.high, 4), range_text(exponent.low, exponent.high, 2)
    said = [
        f"{found.metric} = {end.value:.4f} {sign} {law.b:.3g} n^−{law.c:.2f} for n training cases; 95 % intervals: "
        f"{ends} of the score that endless cases lead to, {exponents} of the exponent."
    ]
    unit, scale = shown_unit(found.unit)
    for one in curve.expected:
        gain = [f"{scale * value:.2f}" for value in (one.gain.value, one.gain.low, one.gain.high)]
        said.append(
            f"{one.factor:g} times the cases ({one.cases:.0f}) are expected to bring {f'{gain[0]} {unit}'.strip()} "
            f"(95 % interval {gain[1]} to {gain[2]}), if the law holds that far."
        )
    if curve.rests_on_fewest:
        said.append(
            f"Without the trainings with {curve.points[0].cases:.4g} cases there is no trend: the law rests on them."
        )
    if _says_little(curve):
        said.append("The interval is wider than all that was gained so far: it says little.")
    return said


def _says_little(curve: LearningCurve) -> bool:
    """Whether an expected score is less certain than the scores that were measured differ."""
    values = [point.interval.value for point in curve.points]
    score = curve.expected[-1].score
    return score.high - score.low > max(values) - min(values)


def rows(found: LearningCurves) -> list[Row]:
    """Rows of learning_curve.csv: what was measured, then what is expected, per curve."""
    listed: list[Row] = []
    for curve in found.curves:
        for point in curve.points:
            interval = point.interval
            counts = {"fraction": point.fraction, "cases": point.cases, "runs": point.runs, "seeds": point.seeds}
            ends = {"score": interval.value, "low": interval.low, "high": interval.high}
            listed.append({"curve": curve.name, "kind": "measured", **counts, **ends})
        for one in curve.expected:
            score, gain = one.score, one.gain
            ends = {"score": score.value, "low": score.low, "high": score.high}
            gains = {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
            listed.append({"curve": curve.name, "kind": "expected", "cases": one.cases, **ends, **gains})
    return listed


def as_json(found: LearningCurves) -> dict[str, Json]:
    """Turn learning curves into plain values; what is not finite becomes None."""
    return {
        "metric": found.metric,
        "class": found.label,
        "unit": found.unit,
        "better": found.better,
        "protocol": found.protocol,
        "law": f"score = a {'-' if found.better == 'higher' else '+'} b n^-c of n training cases",
        "curves": [_curve_as_json(curve, found) for curve in found.curves],
        "warnings": list(found.warnings),
    }


def _curve_as_json(curve: LearningCurve, found: LearningCurves) -> Json:
    points: list[Json] = [
        {
            "fraction": point.fraction,
            "cases": point.cases,
            "runs": point.runs,
            "seeds": point.seeds,
            "score": _plain(Estimate(point.interval.value, point.interval.low, point.interval.high)),
        }
        for point in curve.points
    ]
    expected: list[Json] = [
        {"factor": one.factor, "cases": one.cases, "score": _plain(one.score), "gain": _plain(one.gain)}
        for one in curve.expected
    ]
    return {
        "name": curve.name,
        "measured": points,
        "law": None if curve.law is None else _law_as_json(curve.law, found),
        "expected": expected,
        "refusal": curve.refusal or None,
        "sentences": list(sentences(curve, found)),
    }


def _law_as_json(law: PowerLaw, found: LearningCurves) -> Json:
    end = turned(law.score(math.inf), found.better == "higher")
    return {"a": _plain(end), "b": law.b, "c": _plain(law.exponent())}


def _plain(found: Estimate) -> Json:
    ends = {"value": found.value, "low": found.low, "high": found.high}
    return {name: value if math.isfinite(value) else None for name, value in ends.items()}


def _drawn(curve: LearningCurve, found: LearningCurves) -> DrawnCurve:
    """What is drawn of a curve: its law from the fewest cases to twice the most."""
    measured: list[Point] = [
        (point.cases, point.interval.value, point.interval.low, point.interval.high) for point in curve.points
    ]
    law: Sequence[Point] = ()
    if curve.law is not None:
        sizes = np.geomspace(measured[0][0], measured[-1][0] * FACTORS[-1], DRAWN)
        scores = [turned(curve.law.score(float(size)), found.better == "higher") for size in sizes]
        law = [(float(n), one.value, one.low, one.high) for n, one in zip(sizes, scores, strict=True)]
    return DrawnCurve(curve.name, measured, law)
