"""Hostile records of a run: overrides, values, whole files, cells, names."""

import json
import random
from pathlib import Path

from tests.test_trust import HOSTILE, split

from benchmarks.faults.hostile_content import FILES, NAMES, RAW, READING, TEXTS, VALUES, Case


def of_words(draw: random.Random) -> Case:
    """Overrides that name code, paths or machines."""
    words = split(draw.choice(HOSTILE))

    def make(run: Path) -> None:
        record = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(record | {"overrides": record["overrides"] + words}))
        (run / "overrides.yaml").write_text(json.dumps(record["overrides"] + words))

    verbs = (
        "evaluate run=R worst=0",
        "reproduce R --check",
        "export run=R",
        "train resume=R trainer.max_epochs=3 --cfg job",
    )
    return Case("overrides", str(words), draw.choice(verbs), make)


def of_values(draw: random.Random) -> Case:
    """A value of run.json or results.json in the place of another, at any depth."""
    name, value, seed = draw.choice(("run.json", "results.json")), draw.choice(VALUES), draw.random()

    def make(run: Path) -> None:
        content = json.loads((run / name).read_text())
        place, own = content, random.Random(seed)
        while True:
            key = own.choice(list(place)) if isinstance(place, dict) else own.randrange(len(place))
            if not isinstance(place[key], dict | list) or not place[key] or own.random() < 0.2:
                break
            place = place[key]
        if isinstance(place, dict) and own.random() < 0.2:
            place[str(value)] = place.pop(key)
        else:
            place[key] = value
        (run / name).write_text(json.dumps(content))

    return Case("records", f"{name}: {value!r:.60} ({seed})", draw.choice(READING), make)


def of_raw(draw: random.Random) -> Case:
    """A file that holds something else altogether."""
    name, content = draw.choice(FILES), draw.choice(RAW)
    return Case(
        "files", f"{name}: {content[:40]!r}", draw.choice(READING), lambda run: (run / name).write_bytes(content)
    )


def of_cells(draw: random.Random) -> Case:
    """A cell of a table."""
    name, text, seed = draw.choice(("cases.csv", "metrics.csv")), draw.choice(TEXTS), draw.random()

    def make(run: Path) -> None:
        lines = (run / name).read_text().splitlines()
        own = random.Random(seed)
        row = own.randrange(len(lines))
        cells = lines[row].split(",")
        cells[own.randrange(len(cells))] = '"' + text.replace('"', '""') + '"'
        lines[row] = ",".join(cells)
        (run / name).write_bytes("\n".join(lines).encode(errors="surrogatepass"))

    return Case("tables", f"{name}: {text!r:.40} ({seed})", draw.choice(READING), make)


def of_names(draw: random.Random) -> Case:
    """The name of the run folder itself, and of a class in its results."""
    name = draw.choice(NAMES)

    def make(run: Path) -> None:
        for file in ("run.json", "results.json", "cases.csv"):
            text = (run / file).read_text()
            shown = name if file == "cases.csv" else json.dumps(name)[1:-1]
            (run / file).write_bytes(text.replace("membrane", shown.replace("\n", " ")).encode(errors="replace"))

    run = name.encode(errors="surrogateescape" if name != "\ud800" else "replace").decode()
    return Case("names", repr(name), draw.choice(READING), make, run)
