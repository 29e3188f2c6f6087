"""What may have changed since a run was stopped, one thing each; and what resuming it must then do."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segexp.runs.files import read_json, write_json

SAME, GOES_ON, REFUSED = "same", "goes on", "refused"
Change = Callable[[], object]


@dataclass(frozen=True)
class World:
    """One thing that has changed since the run ``run`` was stopped after two epochs, in the present folder.

    Args:
        name: What has changed.
        right: What must come of it: "same" = the figures of an unbroken run, to the bit; "goes on" = the run is trained
            on with what has changed, and tells so; "refused" = one sentence, no file changed.
        told: Text that must be told or recorded.
        words: Words of the command beside ``resume=`` and the number of epochs.
        change: Function that changes the present folder.
        run: Folder of the run after that.
        apart: Whether the command needs a process of its own.
    """

    name: str
    right: str
    told: str = ""
    words: tuple[str, ...] = ()
    change: Change = lambda: None
    run: str = "run"
    apart: bool = False


def moved(place: str, to: str) -> Change:
    return lambda: shutil.move(place, to)


def copied(place: str, to: str) -> Change:
    return lambda: (shutil.copytree if Path(place).is_dir() else shutil.copy)(place, to)


def picture(path: str, shade: int) -> Change:
    """Paint over a corner of a picture, or make one."""

    def paint() -> None:
        there = Path(path).exists()
        pixels = np.array(Image.open(path)) if there else np.zeros((48, 48), np.uint8)
        pixels[:9, :9] = shade
        Image.fromarray(pixels).save(path)

    return paint


def grown() -> None:
    for kind in ("images", "masks"):
        picture(f"pairs/{kind}/a_new.png", 255)()


def smaller() -> None:
    for kind in ("images", "masks"):
        Path(f"pairs/{kind}/scan_3.png").unlink()


def record(**facts: object) -> Change:
    return lambda: write_json(Path("run/run.json"), {**read_json(Path("run/run.json")), **facts})


def flipped(path: str) -> Change:
    def flip() -> None:
        content = bytearray(Path(path).read_bytes())
        content[len(content) // 2] ^= 4
        Path(path).write_bytes(content)

    return flip


def allowed(word: str) -> tuple[str, ...]:
    return word, f"allow_changes=[{word.partition('=')[0]}]"


WORLDS = (
    World("nothing", SAME),
    World("the run was moved", SAME, change=moved("run", "elsewhere"), run="elsewhere"),
    World("the run was copied", SAME, change=copied("run", "copy"), run="copy"),
    World("the data grew", REFUSED, "cases would change their split", change=grown),
    World("a case is gone", REFUSED, "no longer those of the run", change=smaller),
    World("an image was changed", REFUSED, "pixels, masks", change=picture("pairs/images/scan_2.png", 9)),
    World("a mask was changed", REFUSED, "pixels, masks", change=picture("pairs/masks/scan_2.png", 255)),
    World(
        *("an image was changed, and that is allowed", GOES_ON, ""),
        words=("allow_changes=[data]",),
        change=picture("pairs/images/scan_2.png", 9),
    ),
    World(
        *("the data were moved", SAME),
        words=("data.source.images=moved/images", "data.source.masks=moved/masks"),
        change=moved("pairs", "moved"),
    ),
    World("the data are gone", REFUSED, "pairs/images", change=moved("pairs", "moved")),
    World("another split", REFUSED, "cases would change their split", ("data.split.val=0.1",)),
    World("another network", REFUSED, "model.depth=3 (the run has 2)", ("model.depth=3",)),
    World("another loss", REFUSED, "loss", ("loss=ce",)),
    World("another learning rate", REFUSED, "optimizer.lr=0.01 (the run has", ("optimizer.lr=1e-2",)),
    World("another learning rate, allowed", GOES_ON, "optimizer.lr", allowed("optimizer.lr=1e-2")),
    World("another optimizer", REFUSED, "optimizer._target_", ("optimizer=sgd",)),
    World("another schedule", REFUSED, "scheduler._target_", ("scheduler=cosine",)),
    World("another batch size", REFUSED, "batch_size=8 (the run has 4)", ("data.sampling.batch_size=8",)),
    World("another batch size, allowed", GOES_ON, "batch_size", allowed("data.sampling.batch_size=8")),
    World("accumulation", REFUSED, "accumulate_grad_batches=2", ("trainer.accumulate_grad_batches=2",)),
    World("another precision", REFUSED, "trainer.precision=bf16-mixed", ("trainer.precision=bf16-mixed",)),
    World("another augmentation", REFUSED, "augment", ("augment=heavy",)),
    World("another seed", REFUSED, "seed=5 (the run has 0)", ("seed=5",)),
    World("workers", SAME, words=("data.sampling.num_workers=2",)),
    World("two processes", GOES_ON, "3 of 3 epochs trained", ("trainer=ddp_cpu",), apart=True),
    World("early stopping", SAME, words=("callbacks.early_stopping.enabled=true",)),
    World("another code", SAME, "changed since the run", change=record(git={"commit": "0" * 40, "diff": ""})),
    World("another version", SAME, "0.1.0", change=record(segexp_version="0.1.0")),
    World(
        *("the checkpoint of another run", REFUSED, "was written by another run"),
        change=copied("other/checkpoints/last.ckpt", "run/checkpoints/last.ckpt"),
    ),
    World("a damaged checkpoint", SAME, "last.ckpt is damaged", change=flipped("run/checkpoints/last.ckpt")),
    World("two damaged checkpoints", REFUSED, "last.ckpt", change=lambda: both_damaged()),
    World("results of an earlier state are left", SAME, change=record(status="interrupted")),
    World(
        *("results of another run", REFUSED, "results.json was changed"),
        change=copied("other/results.json", "run/results.json"),
    ),
    World("a damaged record", REFUSED, "run.json", change=flipped("run/run.json")),
    World("no record", REFUSED, "run.json", change=lambda: Path("run/run.json").unlink()),
)


def both_damaged() -> None:
    for name in ("last", "previous"):
        flipped(f"run/checkpoints/{name}.ckpt")()
