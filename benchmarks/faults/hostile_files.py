"""Hostile files beside the records of a run: checkpoints, packages, data, links, ledgers, pages, journals."""

import json
import os
import random
from pathlib import Path

import numpy as np
from PIL import Image
from tests.safety.corpus import archive, nested, pickles, two_directories

from benchmarks.faults.hostile_content import FILES, NAMES, OPENING, RAW, READING, STUDY, SWEEP, TEXTS, VALUES, Case


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


def of_studies(draw: random.Random) -> Case:
    """A value, or a whole line, of the journal of a study; without checksums, as of an earlier version."""
    value, raw, seed = draw.choice(VALUES), draw.choice(RAW), draw.random()

    def make(run: Path) -> None:
        path, own = run.parent / "study" / "study.journal", random.Random(seed)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            line.pop("crc32")
        number = own.randrange(len(lines))
        place = lines[number]
        while isinstance(inner := place[key := own.choice(list(place))], dict) and inner and own.random() < 0.8:
            place = inner
        place[key] = value
        texts = [json.dumps(line).encode() for line in lines]
        if own.random() < 0.2:
            texts[number] = raw.replace(b"\n", b" ")
        path.write_bytes(b"\n".join([*texts, b""]))

    return Case("studies", f"{value!r:.60} or {raw[:20]!r} ({seed})", STUDY, make)
