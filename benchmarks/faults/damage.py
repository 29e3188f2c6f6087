"""Files are damaged on purpose, and every command that reads them is run: is the damage named, or taken for the truth?

    python -m benchmarks.faults damage --count 200        # prints the table of docs/reliability.md

Bits are flipped, files cut off, emptied, or swapped for those of another run. A trial is "named" where the command
stops with one sentence, or goes on and names the file; "harmless" where what comes out is what comes out of whole
files; "silent" where it is something else and nothing was said; "traceback" where the command broke.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.faults.processes import run_here
from segexp.data.cache.hashes import hash_file
from segexp.runs.files import read_json, write_json

TINY = (
    *("trainer=cpu", "trainer.precision=32-true", "data.source.size=[48,48]", "data.source.count=9"),
    *("data.split.val=3-5", "data.split.test=6-8", "data.sampling.patch_size=[32,32]"),
    *("data.sampling.patches_per_epoch=16", "data.sampling.batch_size=4", "model.base_channels=4", "model.depth=2"),
    *("callbacks.progress.enabled=false", "callbacks.panels.enabled=false", "logger=none", "name=damage"),
)
SWEEP = ("train", "-m", *TINY, "trainer.max_epochs=1", "seed=1,2", "hydra.sweep.dir=sweep")
STUDY = (
    *("train", "-m", *TINY, "trainer.max_epochs=1", "hydra/sweeper=optuna", "hydra.sweeper.trials=2"),
    *("hydra/sweeper/pruner=none", "optimizer.lr=interval(1e-3,1e-2)", "hydra.sweep.dir=study"),
)
PREDICT = ("predict", "input=images", "device=cpu", "tile=32")


@dataclass(frozen=True)
class Verb:
    """A command that reads files of a run.

    Attributes:
        words: Words of the command.
        found: Function of what it printed that gives what came out.
    """

    words: tuple[str, ...]
    found: Callable[[str], object]


def of_runs(printed: str) -> object:
    rows = json.loads(printed[printed.index("[") :])
    return [{key: row[key] for key in ("run", "state", "value", "minutes", "resumable")} for row in rows]


def of_masks(_: str) -> object:
    return {path.name: np.asarray(Image.open(path)).tobytes() for path in Path("masks").glob("*.png")}


def of_results(folder: str) -> Callable[[str], object]:
    return lambda _: {key: value for key, value in read_json(Path(folder, "results.json")).items() if key != "training"}


VERBS = {
    "runs": Verb(("runs", "one", "two", "--sort", "run", "--format", "json"), of_runs),
    "compare": Verb(("compare", "one", "two", "--format", "json"), lambda printed: printed[printed.index("{") :]),
    "resume": Verb(("train", "resume=one", "trainer.max_epochs=3"), of_results("one")),
    "evaluate": Verb(("evaluate", "run=one", "output=scored", "worst=0"), of_results("scored")),
    "predict": Verb((*PREDICT, "run=one", "output=masks"), of_masks),
    "predict package": Verb((*PREDICT, "run=model.safetensors", "output=masks"), of_masks),
    "predict again": Verb((*PREDICT, "run=one", "output=masks"), of_masks),
    "export": Verb(
        ("export", "run=one", "output=out.safetensors", "verify=false"), lambda _: hash_file(Path("out.safetensors"))
    ),
    "sweep again": Verb(SWEEP, lambda _: Path("sweep/summary.csv").read_text()),
    "study again": Verb(STUDY, lambda _: Path("study/study.csv").read_text()),
}
READ = {  # file: commands that read it
    "one/run.json": ("runs", "compare", "resume", "evaluate"),
    "one/results.json": ("runs", "compare", "evaluate"),
    "one/cases.csv": ("compare",),
    "one/metrics.csv": ("runs", "resume"),
    "one/overrides.yaml": ("resume",),
    "one/postprocess.json": ("predict", "evaluate"),
    "one/checksums.json": ("runs", "compare", "resume"),
    "one/checkpoints/best.ckpt": ("predict", "evaluate", "export"),
    "one/checkpoints/last.ckpt": ("resume",),
    "model.safetensors": ("predict package",),
    "model.safetensors.json": ("predict package",),
    "masks/0.png": ("predict again",),
    "masks/predicted.json": ("predict again",),
    "sweep/*/run.json": ("sweep again",),
    "sweep/*/results.json": ("sweep again",),
    "sweep/*/config.yaml": ("sweep again",),
    "sweep/ledger.jsonl": ("sweep again",),
    "study/study.journal": ("study again",),
}
WHOLE_ARE_SWAPPED = (".ckpt", ".safetensors", ".png")  # a whole file of another run is no damage to be seen in the file


def prepare() -> None:
    """Make two runs, a package, masks, a sweep and a study in the present folder."""
    for seed, name in enumerate(("one", "two")):
        require(
            run_here(("train", *TINY, f"seed={seed}", "trainer.max_epochs=2", f"hydra.run.dir={Path.cwd() / name}"))
        )
        write_json(Path(name, "postprocess.json"), {} if seed else {"largest_component": {}})
    Path("images").mkdir()
    for index in range(2):
        pixels = np.random.default_rng(index).integers(0, 255, (48, 48), np.uint8)
        Image.fromarray(pixels).save(f"images/{index}.png")
    require(run_here(("export", "run=one", "output=model.safetensors", "verify=false")))
    require(run_here((*PREDICT, "run=one", "output=masks")))
    require(run_here(SWEEP))
    require(run_here(STUDY))


def require(ended: tuple[int | None, str, str]) -> None:
    if ended[0] != 0:
        raise RuntimeError("".join(map(str, ended)))


def spoil(path: Path, kind: str, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if kind == "flipped":
        for _ in range(draw.choice((1, 1, 8))):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif kind == "cut off":
        content = content[: draw.randrange(1, len(content))]
    elif kind == "emptied":
        content.clear()
    else:
        twin = Path("two", *path.parts[1:]) if path.parts[0] == "one" else Path("one/run.json")
        content = bytearray(twin.read_bytes())
    path.write_bytes(content)


def trial(place: Path, name: str, kind: str, verb: Verb, whole: object, draw: random.Random) -> str:
    """Damage a file in a fresh copy and run a command."""
    restore(place, keep_masks=name.startswith("masks"))
    path = draw.choice(sorted(Path().glob(name)))
    spoil(path, kind, draw)
    status, printed, said = run_here(verb.words)
    if status is None:
        return f"traceback: {said.strip().splitlines()[-1]}"
    if path.name in said + printed:
        return "named"
    try:
        same = status == 0 and verb.found(printed) == whole
    except (OSError, ValueError) as error:
        return f"silent: {error}"
    return "harmless" if same else f"silent: {said[-300:]}"


def restore(place: Path, keep_masks: bool = False) -> None:
    """Let the present folder be as it was prepared, at the same path."""
    for path in Path().iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(place, Path(), dirs_exist_ok=True)
    if not keep_masks:
        shutil.rmtree("masks")


def campaign(count: int, seed: int) -> Counter[tuple[str, str]]:
    """Damage files of each kind in turn; count verdicts by kind of damage and by file."""
    draw = random.Random(seed)
    pairs = [(name, verb) for name, verbs in READ.items() for verb in verbs]
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        work, place = Path(folder, "work"), Path(folder, "kept")
        work.mkdir()
        os.chdir(work)
        prepare()
        shutil.copytree(work, place)
        whole: dict[str, object] = {}
        for index in range(count):
            name, verb = pairs[index % len(pairs)]
            if verb not in whole:
                restore(place, keep_masks=verb == "predict again")
                status, printed, said = run_here(VERBS[verb].words)
                assert status == 0, said
                whole[verb] = VERBS[verb].found(printed)
            kinds = ["flipped", "flipped", "cut off", "emptied", "swapped"]
            kind = draw.choice(kinds[:4] if name.endswith(WHOLE_ARE_SWAPPED) or "*" in name else kinds)
            verdict = trial(place, name, kind, VERBS[verb], whole[verb], draw)
            counts[name, verdict.partition(":")[0]] += 1
            print(f"{index + 1} {name} {kind}, {verb}: {verdict}", file=sys.stderr, flush=True)
        os.chdir(folder)
    return counts


def main(given: argparse.Namespace) -> None:
    """Damage files, and print what became of it as a table."""
    counts = campaign(given.count, given.seed)
    verdicts = ("named", "harmless", "silent", "traceback")
    print(f"| file | {' | '.join(verdicts)} |\n| --- |{' ---: |' * len(verdicts)}")
    for name in READ:
        print(f"| {name} | {' | '.join(str(counts[name, verdict]) for verdict in verdicts)} |")
    totals = [sum(counts[name, verdict] for name in READ) for verdict in verdicts]
    print(f"| all | {' | '.join(map(str, totals))} |")
