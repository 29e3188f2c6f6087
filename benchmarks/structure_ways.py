"""Trace a small training and a prediction: which functions of segexp each way of the data passes, and how deep.

Run by ``benchmarks.structure`` in a process of its own, with the package of the tree that is looked at.
"""

import contextlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
from PIL import Image

import segexp
from segexp.cli import main as segexp_main

SOURCE = str(Path(segexp.__file__).parent)
ENTRIES = {  # way: the functions in which it runs
    "file → case": ("Folder.read", "FolderSource.read"),
    "prepared case → patch": ("PatchDataset.__getitem__",),
    "patch → loss": ("Task.training_step",),
    "case → probabilities, in one tile": ("TiledPredictor.__call__",),
    "case → scores": ("Task.test_step", "Task.on_test_epoch_end"),
    "scores → cases.csv": ("write_cases", "rows_of_cases", "write_table"),
    "image → mask": ("segment",),
}


@dataclass
class Way:
    """What was called below some functions.

    Args:
        functions: Files and qualified names.
        depth: Most functions of segexp that lay on the stack at once.
    """

    functions: set[tuple[str, str]] = field(default_factory=set)
    depth: int = 0

    def plain(self) -> dict[str, int]:
        """Return the counts."""
        return {
            "functions": len(self.functions),
            "files": len({file for file, _ in self.functions}),
            "depth": self.depth,
        }


class Tracer:
    """A profile function that notes calls of segexp below the entries of each way."""

    def __init__(self) -> None:
        self.ways = {way: Way() for way in ("override → constructor", *ENTRIES)}
        self.stack: list[CodeType] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Follow calls and returns of named functions of segexp."""
        code = frame.f_code
        if not code.co_filename.startswith(SOURCE) or (code.co_name.startswith("<") and code.co_name != "<lambda>"):
            return
        if event == "return" and self.stack and self.stack[-1] is code:
            self.stack.pop()
        elif event == "call":
            self.stack.append(code)
            self._note(code)

    def _note(self, code: CodeType) -> None:
        if code.co_qualname == "UNet.__init__":
            self._add("override → constructor", self.stack)
        for way, entries in ENTRIES.items():
            starts = [place for place, each in enumerate(self.stack) if each.co_qualname in entries]
            if starts:
                self._add(way, self.stack[starts[0] :])

    def _add(self, way: str, below: list[CodeType]) -> None:
        found = self.ways[way]
        found.functions |= {(code.co_filename, code.co_qualname) for code in below}
        found.depth = max(found.depth, len(below))


def main(folder: Path) -> None:
    """Train on six small images, predict one of them in one tile, print the counts as JSON."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for number in range(6):
        mask = np.zeros((64, 64), np.uint8)
        mask[8 : 40 + number, 8:40] = 255
        noise = np.random.default_rng(number).integers(0, 50, mask.shape, dtype=np.uint8)
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
        Image.fromarray(mask // 2 + noise).save(folder / "images" / f"{number}.png")
    run = folder / "run"
    data = ["data=folder", f"data.source.images={folder / 'images'}", f"data.source.masks={folder / 'masks'}"]
    small = ["model=unet_tiny", "trainer=cpu", "trainer.max_epochs=1", "trainer.precision=32-true", "augment=none"]
    tracer = Tracer()
    with contextlib.redirect_stdout(sys.stderr):
        sys.argv = ["segexp", "train", *data, *small, f"hydra.run.dir={run}"]
        traced(tracer, segexp_main)
        from segexp.prediction import open_models, segment

        models = open_models(str(run))
        image = folder / "images" / "0.png"
        segment(models, image)  # what is imported and cached at the first call is not on the way
        traced(tracer, lambda: segment(models, image))
    print(json.dumps({way: found.plain() for way, found in tracer.ways.items()}))


def traced(tracer: Tracer, call: Any) -> None:
    """Call with the tracer at work on this thread."""
    sys.setprofile(tracer)
    try:
        call()
    finally:
        sys.setprofile(None)
        tracer.stack.clear()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
