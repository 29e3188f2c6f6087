"""Pytorch-UNet's train.py as it is, ended by the clock: its learning rate does not depend on the number of epochs."""

import json
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

from benchmarks.equal_minutes.datasets import Layouts, link, write
from benchmarks.equal_minutes.peers import Peers, command

PROBE = 20.0  # seconds of the first epoch after which its length is known
VALIDATION = 1.25  # an epoch takes so much longer than its steps, for five validations
LEAST = 10  # images that are kept at least
SAFE = 0.8  # fraction of the time that one epoch is made to fit into where it does not
PROGRESS = re.compile(r"Epoch (\d+)/\d+:.*?(\d+)/(\d+) \[(?:(\d+):)?(\d+):(\d+)<")
SAVED = re.compile(r"Checkpoint (\d+) saved!")
COUNT = """
import json, sys, torch
state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
names = [n for n in state if n != "mask_values" and "running_" not in n and "num_batches" not in n]
print(json.dumps(sum(state[n].numel() for n in names)))
"""


@dataclass
class Watch:
    """What the log of train.py tells while it runs.

    Args:
        log: Path to the log.
        end: Time at which training ends, in seconds.
        probe: Seconds of the first epoch after which its length is known.
        thinned: Whether no more images can be left out.
        seen: Number of characters of the log before this run.
        fits: Fraction of the images of which an epoch fits into the time; 1 = all, or not known yet.
    """

    log: Path
    end: float
    probe: float
    thinned: bool
    seen: int = field(init=False)
    fits: float = 1.0

    def __post_init__(self) -> None:
        self.seen = len(self.text)

    @property
    def text(self) -> str:
        """The log."""
        return self.log.read_text(errors="replace") if self.log.is_file() else ""

    @property
    def saved(self) -> list[int]:
        """Numbers of the epochs of which there is a checkpoint."""
        return [int(number) for number in SAVED.findall(self.text[self.seen :])]

    def stop(self) -> bool:
        """Whether training is to end: when the time is up and an epoch is saved, or when no epoch would fit."""
        if not self.thinned and self.fits == 1.0 and not self.saved:
            self.fits = self._fitting()
            if self.fits < 1:
                return True
        return time.time() >= self.end and bool(self.saved)

    def _fitting(self) -> float:
        """Fraction of the images of which an epoch fits into the time, once the pace is known; 1 = all."""
        progress = PROGRESS.findall(self.text[self.seen :])
        if not progress:
            return 1.0
        _, done, images, hours, minutes, seconds = progress[-1]
        elapsed = 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
        if elapsed < self.probe or not int(done):
            return 1.0
        needed = int(images) * elapsed / int(done) * VALIDATION
        left = self.end - time.time() + elapsed
        return 1.0 if needed < left else SAFE * left / needed


@dataclass(frozen=True)
class Trained:
    """What train.py left.

    Args:
        seconds: Seconds that it ran.
        checkpoint: Path to the last checkpoint.
        images: Number of images that it had.
        epochs: Number of epochs until the checkpoint.
    """

    seconds: float
    checkpoint: Path
    images: int
    epochs: int

    @property
    def steps(self) -> int:
        """Number of steps: train.py trains on all images but a tenth, one at a time."""
        return self.epochs * (self.images - int(0.1 * self.images))


def pytorch_unet(layouts: Layouts, folder: Path, peers: Peers, minutes: float, scale: float) -> dict[str, Any]:
    """Train on the training and validation cases, of which train.py draws a tenth to validate; predict the test cases.

    Returns:
        The fields of an outcome.
    """
    names = sorted(path.name for path in (layouts.slices / "imgs").iterdir())
    options = ["--scale", str(scale), "--classes", str(len(layouts.data_set.class_names))]
    trained = train(layouts, folder, peers, minutes, options, names)
    predict = predicted(layouts, folder, peers, trained.checkpoint, options)
    words = [peers.python, "-c", COUNT, trained.checkpoint]
    counted = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return {
        "train": trained.seconds,
        "prepare": 0.0,
        "predict": predict,
        "steps": trained.steps,
        "parameters": json.loads(counted),
        "note": f"{trained.images} of {len(names)} images" if trained.images < len(names) else "",
    }


def train(
    layouts: Layouts, folder: Path, peers: Peers, minutes: float, options: list[str], names: list[str]
) -> Trained:
    """Run train.py until the time is up.

    Where not one epoch fits into the minutes, as of thousands of slices, it begins anew with so many of the images that
    one does: it writes no checkpoint before its first epoch has ended.
    """
    log = folder / "log.txt"
    words = [peers.python, peers.unet / "train.py", "--epochs", "100000", *options]
    kept, thinned = names, len(names) <= LEAST
    while True:
        place = placed(layouts, folder / f"{len(kept)}_images", kept)
        watch = Watch(log, time.time() + 60 * minutes, min(PROBE, 12 * minutes), thinned)
        seconds = command(words, log, peers.variables(), place, watch.stop)
        if watch.fits == 1.0:
            break
        kept, thinned = evenly(names, watch.fits), True
    epochs = watch.saved[-1]
    checkpoint = place / "checkpoints" / f"checkpoint_epoch{epochs}.pth"
    for other in checkpoint.parent.glob("*.pth"):
        if other != checkpoint:
            other.unlink()
    return Trained(seconds, checkpoint, len(kept), epochs)


def placed(layouts: Layouts, place: Path, names: list[str]) -> Path:
    """Make a working folder with links to the images that are learned; return it."""
    for part in ("imgs", "masks"):
        (place / "data" / part).mkdir(parents=True)
        for name in names:
            link(place / "data" / part / name, layouts.slices / part / name)
    return place


def evenly(names: list[str], fraction: float) -> list[str]:
    """Keep about a fraction of the names, evenly spaced."""
    count = max(LEAST, int(fraction * len(names)))
    return [names[place] for place in np.linspace(0, len(names) - 1, count).astype(int)]


def predicted(layouts: Layouts, folder: Path, peers: Peers, checkpoint: Path, options: list[str]) -> float:
    """Predict the test images with predict.py and put slices of volumes together; return the seconds."""
    images = sorted((layouts.slices / "test").iterdir())
    flat = folder / "flat"
    flat.mkdir(exist_ok=True)
    words = [peers.python, peers.unet / "predict.py", "--model", checkpoint, *options, "--input", *images]
    words += ["--output", *(flat / image.name for image in images)]
    seconds = command(words, folder / "log.txt", peers.variables())
    for name in layouts.split.test:
        path = folder / "predictions" / f"{name}{layouts.data_set.suffix}"
        if layouts.data_set.volumes:
            slices = [np.asarray(Image.open(one)) for one in sorted(flat.glob(f"{name}_*.png"))]
            write(path, np.stack(slices).astype(np.uint8)[None], affine_of(layouts.image(name, "imagesTs")))
        else:
            write(path, np.asarray(Image.open(flat / f"{name}.png")).astype(np.uint8)[None])
    return seconds


def affine_of(image: Path) -> np.ndarray:
    """Read the affine of a volume."""
    affine: np.ndarray = nib.load(image).affine
    return affine
