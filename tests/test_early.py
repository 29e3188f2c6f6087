"""Mistakes are told before a heavy library is loaded."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from segexp.config import compose
from segexp.early import HEAVY, Heavy, refuse_early, without_heavy

FOLDER = ("data=folder", "data.source.images=images", "data.source.masks=")
ANSWERS = {  # words of a command line: what is answered
    ("train", "modle=unet"): "modle: no such key (did you mean 'model'?)",
    ("train", "optimizer.lrr=1"): "optimizer.lrr: no such key (did you mean 'optimizer.lr'?)",
    ("train", "trainer.max_epochs=ten"): "trainer.max_epochs='ten' must be an integer",
    ("train", "optimizer.lr=fast"): "optimizer.lr='fast' must be ",
    ("train", "data.sampling.batch_size=0"): "data.sampling.batch_size=0 must be an integer of at least 1",
    ("train", "minutes=1", "trainer.max_epochs=5"): "minutes=1 and trainer.max_epochs=5: ",
    ("train", *FOLDER[:2], f"{FOLDER[2]}maks"): "maks is not a folder: check the path",
    ("train", *FOLDER[:2]): "data.source.masks must be given",
    ("audit", "data.source.count=0"): "data.source.count=0 must be an integer of at least 1",
    ("predict", "run=images", "input=images", "output=c"): "no checkpoint at images/checkpoints/best.ckpt: ",
    ("predict", "run=run", "input=imgs", "output=c"): "input=imgs: there is no such file or folder",
    ("predict", "run=run", "input=images", "output=c", "format=nrrd"): "format='nrrd' is not one of ",
    ("evaluate", "run=images"): "run=images: there is no run.json",
    ("train", "model.num_classes=3"): "model.num_classes=3, but the data make it 2: leave it out",
    ("evaluate", "run=run", "split=tset"): "split='tset' is not one of ",
    ("suggest", "run=run", "input=images", "count=0"): "count=0 must be an integer of at least 1",
    ("stress", "run=run", "severities=[6]"): "severities[0]=6 must be ",
    ("export", "run=run", "format=onx"): "format='onx' is not one of ",
    ("benchmark", "data", *FOLDER[:2], f"{FOLDER[2]}maks"): "maks is not a folder: check the path",
}
ACCEPTED = {  # words of a command line: its command
    ("callbacks.early_stopping.enabled=true",): "train",  # whose mode is settled by the monitored score
    ("callbacks.early_stopping.mode=null",): "train",
    ("scheduler=plateau", "scheduler.patience=3"): "train",
    ("subject=step", *FOLDER[:2], f"{FOLDER[2]}maks"): "benchmark",  # which takes noise
}
SCRIPT = """
import contextlib, io, json, sys
from segexp.cli import main
from segexp.config import compose
from segexp.early import HEAVY, refuse_early
def answer(words):
    sys.argv, said = ["segexp", *words], io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        main()
    return said.getvalue(), [name for name in HEAVY if name in sys.modules]
def refusal(command, words):
    try:
        refuse_early(compose(words, command, run_dir="new"), training=command == "train")
    except Exception as error:
        return repr(error)
given, accepted = map(json.loads, sys.argv[1:])
answers = [answer(words) for words in given]
print(json.dumps([answers, [refusal(*each) for each in accepted]]))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> tuple[list[tuple[str, list[str]]], list[str | None]]:
    """What one process answers to all of them, and which heavy libraries it had loaded by then; what it refuses."""
    folder = tmp_path_factory.mktemp("mistakes")
    for name, count in (("images", 2), ("few", 1)):
        (folder / name).mkdir()
        for number in range(count):
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / name / f"scan_{number}.png")
    (folder / "run/checkpoints").mkdir(parents=True)
    (folder / "run/checkpoints/best.ckpt").touch()
    (folder / "run/run.json").write_text('{"status": "done"}')
    env = {name: value for name, value in os.environ.items() if not name.startswith("SEGEXP_")}
    accepted = [(command, list(words)) for words, command in ACCEPTED.items()]
    command = [sys.executable, "-c", SCRIPT, json.dumps([list(words) for words in ANSWERS]), json.dumps(accepted)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("words", ANSWERS, ids=" ".join)
def test_mistakes_are_answered_without_a_heavy_library(told, words):
    said, loaded = dict(zip(ANSWERS, told[0], strict=True))[words]
    assert said.splitlines()[-1].startswith(f"segexp {words[0]}: {ANSWERS[words]}")
    assert loaded == []


@pytest.mark.parametrize("words", ACCEPTED, ids=" ".join)
def test_what_the_command_would_take_is_taken(told, words):
    assert dict(zip(ACCEPTED, told[1], strict=True))[words] is None


def test_what_needs_a_heavy_library_ends_the_block_and_no_handler_takes_it_for_missing(monkeypatch):
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    reached = []
    with without_heavy():
        try:
            import torchvision  # noqa: F401
        except ImportError:
            reached.append("missing")
        reached.append("after")
    assert reached == []
    assert issubclass(Heavy, BaseException)
    assert not issubclass(Heavy, Exception)
    with without_heavy():
        import colorsys  # noqa: F401 - any other library

        reached.append("light")
    assert reached == ["light"]


def test_where_heavy_libraries_are_loaded_all_is_left_to_the_command():
    assert "torch" in HEAVY
    assert "torch" in sys.modules or __import__("torch")
    refuse_early(compose(["data.sampling.batch_size=0"]), training=True)
