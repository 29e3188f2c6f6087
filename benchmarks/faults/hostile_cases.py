"""Cases of hostile files: what a stranger may put into a run, package, sweep, study, data set or page."""

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tests.safety.corpus import archive, nested, pickles, two_directories
from tests.test_trust import HOSTILE, split

TEXTS = (  # names that somebody may have given
    "\x1b]0;title\x07\x1b[2J",
    "\x9b31m\u202egnp.exe",
    "[/nope]",
    "[bold red]x[/]",
    "<script>alert(1)</script>",
    '=HYPERLINK("http://evil","x")',
    "+1+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\\input{/etc/passwd}%",
    "a\n\\end{tabular}\\write18{id}",
    "a|b\n| --- |",
    "$(touch canary); `touch canary`",
    "../../../etc/passwd",
    "<!-- /segexp -->",
    "${oc.env:HOSTILE_CASE}",
    "\ud800",
    "x" * 10_000,
    "",
    "\0",
)
NAMES = ("ü", *(text for text in TEXTS if 0 < len(text) < 200 and "/" not in text and "\0" not in text))  # of files
VALUES = (*TEXTS, None, True, -1, 0, 1.5, 10**400, -(10**30), 1e308, [], {}, [[]], {"_target_": "os.system"}, ["a", {}])
RAW = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe\x00",
    b'{"status": "done", "status": "failed"}',
    b'{"status": NaN}',
    b"[" * 100_000,
    b'{"a":' * 5_000,
    b"9" * 10_000,
    b"a: &a [1]\nb: *a\n",
    b"!!python/object/apply:os.system ['touch canary']",
    b"split,case,class,dice\nval,a\n",
    b"a,b\n1,2,3,4\n\n,,",
    b"\0" * 100,
)
FILES = ("run.json", "results.json", "overrides.yaml", "config.yaml", "postprocess.json", "cases.csv", "metrics.csv")
READING = (  # commands that read a run, R, and its folder's parent, P
    "runs P",
    "runs P --format json",
    "runs P --where dice>0.1",
    "runs P --sort metric",
    "runs clean P --yes",
    "compare R",
    "compare P --format markdown",
    "compare P --format csv",
    "compare P --format latex",
    "compare P --format json",
    "compare P --html P/page.html",
    "report P/README.md",
    "reproduce R --check",
    "evaluate run=R worst=1",
    "export run=R",
    "train resume=R trainer.max_epochs=3 --cfg job",
)
OPENING = (
    "evaluate run=R worst=0",
    "export run=R output=P/x.safetensors",
    "predict run=R input=P/scan.png output=P/masks",
)
SWEEP = "train -m seed=1,2 loss=ce sweep.name=sweep paths.output_dir=P hydra.launcher.jobs_at_once=1 sweep.dry_run=true"


@dataclass(frozen=True)
class Case:
    """A hostile folder and a command.

    Args:
        kind: Kind of what is hostile, a row of the table.
        what: What was done, for the list of failures.
        words: Words of the command; R, P stand for the run and the folder that holds it.
        make: Function that changes the copy of the good folder, given the run.
        run: Name of the run folder.
    """

    kind: str
    what: str
    words: str
    make: Callable[[Path], object]
    run: str = "run"


def cases(draw: random.Random) -> Iterator[Case]:
    """Draw cases without end, each kind in turn."""
    makers = (
        of_words,
        of_values,
        of_values,
        of_raw,
        of_cells,
        of_names,
        of_checkpoints,
        of_packages,
        of_data,
        of_files,
    )
    while True:
        for maker in makers:
            yield maker(draw)


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


def of_checkpoints(draw: random.Random) -> Case:
    """A checkpoint that would run something, or shows two contents."""
    if draw.random() < 0.2:
        how = draw.choice(("offset", "locator", "name", "between"))
        return Case("checkpoints", how, draw.choice(OPENING), lambda run: two_directories(_best(run), how))
    name = draw.choice(sorted(pickles(Path("canary"))))

    def make(run: Path) -> None:
        archive(_best(run), pickles(run.parent / "canary")[name])

    return Case("checkpoints", name, draw.choice(OPENING), make)


def _best(run: Path) -> Path:
    return run / "checkpoints" / "best.ckpt"


def of_packages(draw: random.Random) -> Case:
    """A value of the JSON file beside an exported model."""
    value, seed = draw.choice((*VALUES, nested(100))), draw.random()

    def make(run: Path) -> None:
        path = run.parent / "model.safetensors.json"
        content, own = json.loads(path.read_text()), random.Random(seed)
        place = content["description"] if own.random() < 0.7 else content
        place[own.choice(list(place))] = value
        path.write_text(json.dumps(content))

    verbs = (
        "predict run=P/model.safetensors input=P/scan.png output=P/masks",
        "export run=P/model.safetensors output=P/y.pt2",
    )
    return Case("packages", f"{value!r:.60} ({seed})", verbs[0] if draw.random() < 0.8 else verbs[1], make)


def of_data(draw: random.Random) -> Case:
    """Images and masks that are pipes, lead elsewhere, or have names that command."""
    name = draw.choice(NAMES)
    how = draw.choice(("pipe", "header", "names", "manifest"))

    def make(run: Path) -> None:
        folders = [run.parent / "images", run.parent / "masks"]
        for folder in folders:
            folder.mkdir()
            for stem in ("a", "b", "c", "d", name.replace("\ud800", "?")):
                Image.fromarray(np.full((32, 32), 255 * (folder.name == "masks"), np.uint8)).save(
                    folder / f"{stem}.png"
                )
        if how == "pipe":
            os.mkfifo(folders[0] / "e.png")
            os.mkfifo(folders[1] / "e.png")
        if how == "header":
            text = "NDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\nElementDataFile = ../victim/file\n"
            for folder in folders:
                (folder / "e.mhd").write_text(text)
        quoted = name.replace('"', '""').replace("\ud800", "?")
        (run.parent / "list.csv").write_text(f'image,mask,name\nimages/a.png,masks/a.png,"{quoted}"\n')

    verbs = {"manifest": "audit data=manifest data.source.csv=P/list.csv folder=P/audit paths.output_dir=P"}
    usual = (
        "audit data=folder data.source.images=P/images data.source.masks=P/masks folder=P/audit paths.output_dir=P",
        "predict run=R input=P/images output=P/masks2",
        "evaluate run=R data=folder data.source.images=P/images data.source.masks=P/masks worst=1 "
        "data.labels.class_names=[interior,membrane]",
    )
    return Case("data", f"{how} {name!r}", verbs.get(how) or draw.choice(usual), make)


def of_files(draw: random.Random) -> Case:
    """A file that is a pipe, a link to a secret, or a folder; a ledger or a page of somebody else."""
    kind = draw.choice(("pipe", "link", "folder", "ledger", "page"))
    name = draw.choice((*FILES, "checkpoints/best.ckpt", "checkpoints/last.ckpt"))
    text = draw.choice(TEXTS).replace("\ud800", "?")

    def make(run: Path) -> None:
        path = run / name
        if kind == "ledger":
            lines = (
                text,
                json.dumps(text),
                json.dumps({"job": text}),
                json.dumps({"job": [], "name": {}, "state": text}),
            )
            (run.parent / "sweep" / "ledger.jsonl").write_text("\n".join(lines))
        elif kind == "page":
            (run.parent / "README.md").write_text(
                f"<!-- segexp: compare {run} --metric '{text}' {text} -->\n<!-- /segexp -->\n"
            )
        else:
            path.unlink(missing_ok=True)
            {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir}.get(
                kind, lambda: path.symlink_to(run.parents[1] / "victim" / "file")
            )()

    verbs = {"ledger": SWEEP, "page": "report P/README.md"}
    return Case(
        "kinds of files", f"{kind} {name} {text!r:.40}", verbs.get(kind) or draw.choice((*READING, *OPENING)), make
    )
