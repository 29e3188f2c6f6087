"""Hostile files on purpose: a stranger's run, package, sweep, study, data set or page, and every verb that opens it.

python -m benchmarks.faults hostile --count 400               # prints the table of docs/reliability.md

A case takes a good folder, puts something hostile into one of its files, and gives it to a command in this process.
What must not happen: code of the file is run, a traceback, a secret of the environment in an output or a file, a
control character in what is printed, a wait without end, a change outside of the folder.
"""

import argparse
import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.safety.corpus import archive, nested, pickles, two_directories
from tests.test_trust import HOSTILE, split

from segexp.cli import main as segexp

SECRET = "s3cr3t-0f-the-env1ronment"
VARIABLE = "HOSTILE_CASE"  # its name does not give it away
SECONDS = 120
TINY = (
    *("trainer=cpu", "trainer.max_epochs=1", "data.source.size=[48,48]", "data.source.count=9", "data.split.val=3-5"),
    *("data.split.test=6-8", "data.sampling.patch_size=[32,32]", "data.sampling.patches_per_epoch=16", "logger=none"),
    *("data.sampling.batch_size=4", "model.base_channels=2", "model.depth=1", "callbacks.progress.enabled=false"),
)
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


@dataclass
class Watch:
    """What happened during a case, as an audit hook of Python sees it."""

    armed: bool = False
    allowed: str = ""
    events: list[str] = field(default_factory=list)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note what runs a program or reaches another machine."""
        if not self.armed:
            return
        if event in ("os.system", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo", "pty.spawn"):
            self.events.append(f"{event} {arguments}")
        elif event == "subprocess.Popen" and not str(arguments[1]).startswith(
            ("['git'", "['nvidia-smi'", f"['{sys.executable}'")
        ):
            self.events.append(f"{event} {arguments[1]}")


WATCH = Watch()


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


def prepare(folder: Path) -> Path:
    """Make the good folder: a trained run, a package, an image, a page of tables."""
    home = folder / "good"
    home.mkdir(parents=True)
    run_command(["train", *TINY, f"hydra.run.dir={home}/run"])
    run_command(["export", f"run={home}/run", f"output={home}/model.safetensors"])
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save(home / "scan.png")
    (home / "README.md").write_text(f"# x\n\n<!-- segexp: compare {home} -->\n<!-- /segexp -->\n")
    (home / "sweep").mkdir()
    line = {"time": "t", "job": "a", "name": "b", "state": "done", "driver": "d"}
    (home / "sweep" / "ledger.jsonl").write_text(json.dumps(line) + "\n")
    return home


def run_command(words: list[str]) -> tuple[object, str]:
    """Run a command of segexp in this process; return what ended it other than an exit, and what it printed."""
    kept, printed = sys.argv, io.StringIO()
    sys.argv = ["segexp", *words]
    fault: object = None
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            segexp()
    except SystemExit:
        pass
    except BaseException as error:
        fault = error
    finally:
        sys.argv = kept
    return fault, printed.getvalue()


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


def judge(case: Case, good: Path, folder: Path) -> list[str]:
    """Run a case in a copy; return what must not happen, of what did."""
    home = folder / "home"
    shutil.copytree(good, home, symlinks=True)
    victim = folder / "victim"
    victim.mkdir()
    (victim / "file").write_text(SECRET)
    run = home / case.run
    (home / "run").rename(run)
    (run / "checksums.json").unlink(missing_ok=True)  # else a changed file is refused before it is read
    case.make(run)
    places = {"R": str(run), "P": str(home)}
    words = [re.sub(r"\b[RP]\b", lambda found: places[found[0]], word) for word in case.words.split()]
    before = set(os.listdir(folder.parent))
    fault, printed = _watched(words, home)
    found = [] if fault is None else [f"traceback: {fault!r:.200}"]
    found += [f"code: {event:.200}" for event in WATCH.events]
    written = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    if SECRET in printed or any(SECRET.encode() in path.read_bytes() for path in written):
        found.append("leak")
    if any(not one.isprintable() and one not in "\n\t" for one in printed):
        found.append("terminal")
    moved = (victim / "file").read_text() != SECRET or len(os.listdir(victim)) != 1
    if list(folder.rglob("canary")) or moved or set(os.listdir(folder.parent)) != before:
        found.append("outside")
    if not found and not printed.strip() and case.words.split()[0] != "evaluate":
        found.append("silent")
    if os.environ.get("HOSTILE_SHOW"):
        print(case, printed[-400:].encode("unicode_escape").decode(), file=sys.stderr)
    return found


def _watched(words: list[str], home: Path) -> tuple[object, str]:
    def stop(*_: object) -> None:
        raise TimeoutError("waited without end")

    cwd = os.getcwd()
    os.chdir(home)
    WATCH.events.clear()
    WATCH.armed = True
    kept = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        return run_command(words)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, kept)
        WATCH.armed = False
        os.chdir(cwd)


def hostile(count: int, seed: int, show: bool = True) -> tuple[dict[str, Counter[str]], list[str]]:
    """Judge cases.

    Args:
        count: Number of cases.
        seed: Seed of what is drawn.
        show: Whether to print failures as they come.

    Returns:
        Per kind the number of tries and of each thing that must not happen; the failures in words.
    """
    sys.addaudithook(WATCH)
    os.environ[VARIABLE] = SECRET
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()
    table: dict[str, Counter[str]] = {}
    failures = []
    with tempfile.TemporaryDirectory() as name:
        good = prepare(Path(name))
        drawn = cases(random.Random(seed))
        for number in range(count):
            case = next(drawn)
            folder = Path(name) / f"case{number}"
            folder.mkdir()
            counts = table.setdefault(case.kind, Counter())
            counts["tries"] += 1
            for what in judge(case, good, folder):
                counts[what.partition(":")[0]] += 1
                failures.append(f"{number} {case.kind} | {case.words} | {case.what} | {what}")
                if show:
                    print(failures[-1].encode("unicode_escape").decode(), file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
    return table, failures


def print_table(table: dict[str, Counter[str]]) -> None:
    """Print one row per kind, as Markdown."""
    heads = ("tries", "code", "traceback", "leak", "terminal", "outside", "silent")
    print(f"| hostile | {' | '.join(heads)} |\n| --- |{' ---: |' * len(heads)}")
    for kind, counts in [*table.items(), ("all", sum(table.values(), Counter()))]:
        print(f"| {kind} | {' | '.join(str(counts[head]) for head in heads)} |")


def run(given: argparse.Namespace) -> None:
    """Judge as many cases as asked for, and print the table; exit status 1 if anything happened that must not."""
    table, failures = hostile(given.count, given.seed)
    print_table(table)
    sys.exit(bool(failures))
