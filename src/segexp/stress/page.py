"""The page of stress tests: one HTML file that opens from the disk, runs no script and asks no network for anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.resources import files

from segexp.comparison.page import asset, digest
from segexp.comparison.page_pictures import data_url
from segexp.runs.stress import CorruptionFigures, StressResults
from segexp.stress.pictures import Gallery
from segexp.stress.plots import COLORS, Curve, axes_of, plot
from segexp.stress.reference import ERRORS

LOSSES = (0.01, 0.03, 0.1, 0.2, 0.4)  # of the clean score, from which a cell is shaded more
HEADS = {
    "mean": "mean",
    "area": "area",
    "degradation": "degradation",
    "corruption_error": "CE",
    "relative_corruption_error": "rel. CE",
    "relative_degradation": "rel. degradation",
}
SHADES = f"Shaded: more than {', '.join(f'{100 * loss:g}' for loss in LOSSES)} % of the clean score are lost."
BANDS = "Band: 95 % interval over the cases. Below a plot: what its severities reach, from 1 on."
WORDS = {
    "mean": "mean score over the severities, without the clean one",
    "area": "area under the curve of score against severity, the clean score at 0 included, divided by its width",
    "degradation": "loss against the clean score, a severity weighing 2/3 of the one below (ROOD-MRI, Boone et "
    "al. 2022)",
    "CE": "corruption error: errors summed over severities, divided by those of the reference (ImageNet-C, Hendrycks & "
    "Dietterich 2019); below 1 is better than the reference",
    "rel. CE": "growth of the error over that without corruption, divided by that of the reference",
    "rel. degradation": "degradation divided by that of the reference",
    "interval": "95 % over cases, bootstrapped where there are enough of them; without the training's own randomness",
}


@dataclass(frozen=True)
class Stressed:
    """A stressed run.

    Attributes:
        name: Name of the run.
        results: Its figures.
        gallery: Where its pictures lie; None = there are none.
    """

    name: str
    results: StressResults
    gallery: Gallery | None = None


def page(runs: Sequence[Stressed], version: str, command: str) -> str:
    """Write stress tests as a page.

    Args:
        runs: Stressed runs, whose headline metric is the same.
        version: Version of segexp.
        command: Command line that made it.

    Returns:
        HTML with style and pictures in it.
    """
    style = asset("page.css") + (files("segexp.stress") / "page.css").read_text(encoding="utf-8")
    names = list(dict.fromkeys(name for run in runs for name in run.results["corruptions"]))
    title = f"Stress test of {len(runs)} runs" if len(runs) > 1 else f"Stress test of {runs[0].name}"
    policy = f"default-src 'none'; img-src data:; style-src '{digest(style)}'"
    now = f"{datetime.now().astimezone():%d %B %Y, %H:%M}".lstrip("0")
    first = runs[0].results
    facts = f"{now} · {len(first['cases'])} {first['split']} cases · {len(names)} corruptions · seed {first['seed']}"
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{style}</style></head>',
        f'<body><header><h1>{escape(title)}</h1><p class="dim">{escape(facts)}</p>{_verdict(runs)}</header><main>',
        *[_section(f"{run.name}: {run.results['metric']} by severity", _table(run)) for run in runs],
        _section(f"{first['metric']} against severity", _legend(runs) + _curves(runs, names)),
        _section("Pictures", _gallery(runs, names)),
        _section("How it was measured", _protocol(first)),
        f'</main><footer class="dim">Made by segexp {escape(version)} with <code>{escape(command)}</code>.</footer>',
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _verdict(runs: Sequence[Stressed]) -> str:
    """Say of each run how good it is without corruption, over all of them, and which hurt most."""
    lines = []
    for number, run in enumerate(runs):
        found = run.results
        losses = {name: figures["degradation"] or 0.0 for name, figures in found["corruptions"].items()}
        order = sorted(losses, key=lambda name: -losses[name])
        most = ", ".join(f"{name} ({losses[name]:.3f})" for name in order[:3] if losses[name] > 0) or "none"
        clean, mean = found["clean"].get(found["metric"]), found["overall"]["mean"]
        text = (
            f"{run.name}: {found['metric']} {_number(clean)} without corruption, {_number(mean)} on average over all "
        )
        text += f"corruptions and severities. The largest degradations: {most}."
        lines.append(f'<p class="c{number % COLORS}">{escape(text)}</p>')
    return f'<div id="verdict">{"".join(lines)}</div>'


def _table(run: Stressed) -> str:
    """Scores of all corruptions and severities, darker where more of the clean score is lost."""
    found = run.results
    wanted = [key for key in HEADS if key not in ERRORS or "reference" in found]
    heads = ["corruption", "clean", *map(str, found["severities"]), *(HEADS[key] for key in wanted)]
    clean = found["clean"].get(found["metric"])
    higher = found["metrics"][found["metric"]]["higher_is_better"]
    rows = []
    for name, figures in found["corruptions"].items():
        scores = figures["scores"].get(found["metric"], [None] * len(found["severities"]))
        cells = [f'<td class="name pin">{escape(name)}</td>', f'<td class="number">{_number(clean)}</td>']
        cells += [f'<td class="number {_shade(score, clean, higher)}">{_number(score)}</td>' for score in scores]
        cells += [f'<td class="number">{_number(figures.get(key))}</td>' for key in wanted]  # type: ignore[arg-type]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    means = [f'<td class="number">{_number(found["overall"].get(key))}</td>' for key in wanted]
    blank = '<td class="number"></td>' * (len(found["severities"]) + 1)
    rows.append(f'<tr class="base"><td class="name pin">mean</td>{blank}{"".join(means)}</tr>')
    top = "".join(f'<th class="{"pin" if head == "corruption" else "number"}">{escape(head)}</th>' for head in heads)
    against = f'<p class="dim">Reference: {escape(found["reference"])}.</p>' if "reference" in found else ""
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f'<p class="dim">{SHADES}</p>{against}'
    )


def _shade(score: float | None, clean: float | None, higher: bool) -> str:
    """Class of a cell by what is lost against the clean score, as a part of it."""
    if score is None or not clean:
        return "h0"
    lost = (clean - score if higher else score - clean) / abs(clean)
    return f"h{sum(lost > loss for loss in LOSSES)}"


def _legend(runs: Sequence[Stressed]) -> str:
    if len(runs) < 2:
        return ""
    names = (
        f'<span class="c{n % COLORS}"><span class="key">{n + 1}</span> {escape(run.name)}</span>'
        for n, run in enumerate(runs)
    )
    return f'<p class="runs">{"".join(names)}</p>'


def _curves(runs: Sequence[Stressed], names: Sequence[str]) -> str:
    """Small plots with one scale, a curve per run."""
    curves = {name: [_curve(run, name) for run in runs if name in run.results["corruptions"]] for name in names}
    axes = axes_of([curve for each in curves.values() for curve in each])
    metric = runs[0].results["metric"]
    plots = []
    for name in names:
        figures = next(run.results["corruptions"][name] for run in runs if name in run.results["corruptions"])
        levels = f"{figures['measure']}: {', '.join(f'{level:g}' for level in figures['declared'])}"
        drawn = plot(name, metric, curves[name], axes)
        plots.append(f"<figure><h3>{escape(name)}</h3>{drawn}<figcaption>{escape(levels)}</figcaption></figure>")
    return f'<p class="dim">{BANDS}</p><div class="curves">{"".join(plots)}</div>'


def _curve(run: Stressed, name: str) -> Curve:
    found, figures = run.results, run.results["corruptions"][name]
    scores = figures["scores"].get(found["metric"], [None] * len(found["severities"]))
    clean = found["clean"].get(found["metric"])
    heights = {0: clean} | dict(zip(found["severities"], scores, strict=True))
    bands = {0: found["clean_interval"]} | dict(zip(found["severities"], figures["intervals"], strict=True))
    return Curve(run.name, heights, bands)


def _gallery(runs: Sequence[Stressed], names: Sequence[str]) -> str:
    """Pictures of all corruptions; empty where no run has any."""
    pictures = "".join(_pictures(runs, name) for name in names)
    about = "Above the image, below it the prediction in color with the outline of the truth in white."
    return pictures and f'<p class="dim">{about}</p>{pictures}'


def _pictures(runs: Sequence[Stressed], name: str) -> str:
    """The typical case in every severity, and the worst case, of each run that has pictures."""
    parts = []
    for run in runs:
        figures = run.results["corruptions"].get(name)
        if run.gallery is None or figures is None:
            continue
        who = f"{run.name}, " if len(runs) > 1 else ""
        about = f"{who}{run.gallery.typical}, the case with the median clean score; {figures['measure']}"
        parts.append(f'<p class="dim">{escape(about)}</p>')
        parts.append(f'<div class="strip">{_strip(run, run.gallery, name, figures)}</div>')
        worst = figures["worst"]
        text = f"{who}worst case {worst['case']} at severity {run.results['severities'][-1]}: {run.results['metric']} "
        text += f"{_number(worst['score'])}, without corruption {_number(worst['clean'])}"
        parts.append(f'<figure class="worst">{_image(run.gallery.worst_case(name), text)}</figure>')
    return f"<details open><summary><h3>{escape(name)}</h3></summary>{''.join(parts)}</details>" if parts else ""


def _strip(run: Stressed, gallery: Gallery, name: str, figures: CorruptionFigures) -> str:
    captions = {0: "clean"}
    for severity, level, reached in zip(
        run.results["severities"], figures["declared"], figures["reached"], strict=True
    ):
        near = f", reached {reached:.3g}" if f"{reached:.3g}" != f"{level:.3g}" else ""
        captions[severity] = f"{severity}: {level:g}{near}"
    shown = [_image(gallery.panel(name, severity), caption) for severity, caption in captions.items()]
    return "".join(f"<figure>{each}</figure>" for each in shown)


def _image(path: object, caption: str) -> str:
    address = data_url(path)  # type: ignore[arg-type]
    shown = f'<img src="{address}" alt="{escape(caption)}">' if address else ""
    return f"{shown}<figcaption>{escape(caption)}</figcaption>"


def _protocol(found: StressResults) -> str:
    """Definitions, and what was reached of each declared measure."""
    unused = () if "reference" in found else [HEADS[key] for key in ERRORS]
    told = {name: text for name, text in WORDS.items() if name not in unused}
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in told.items())
    missed = [
        f"{name} severity {severity}: {count} of {len(found['cases'])} cases"
        for name, figures in found["corruptions"].items()
        for severity, count in zip(found["severities"], figures["missed"], strict=True)
        if count
    ]
    text = f"{found['protocol']}. Not near the target, as no strength reaches it, or it goes in steps: "
    text += f"{'; '.join(missed) or 'none'}."
    cost = f"{found['seconds_per_case']:.2f} s per corrupted case, {found['peak_memory_mib']:.0f} MiB at most."
    return f"<p>{escape(text[0].upper() + text[1:])}</p><dl>{rows}</dl><p>{escape(cost)}</p>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{round(value, 3) + 0.0:.3f}".replace("-", "−")  # never −0.000
