"""Type what newcomers type wrong, in processes of their own, and write what is answered into docs/mistakes.md.

    python -m benchmarks.mistakes            # all of them, then the table
    python -m benchmarks.mistakes 3 17       # these alone, printed

An answer is one sentence that names value, rule and remedy, with an exit status that is not 0, and without a traceback.
"""

import html
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "mistakes.md"
BEGIN, END = "<!-- benchmarks.mistakes -->", "<!-- end of benchmarks.mistakes -->"
LONGEST = 120  # seconds that a command may take: one that takes longer trains
FOLDER = "data=folder data.source.images={} data.source.masks={}"
MISTAKES = (  # what is wrong, what is typed
    ("a command that is none", "segexp trian data=isbi"),
    ("an option misspelled", "segexp train model=unet_bilinera"),
    ("a group misspelled", "segexp train modle=unet"),
    ("a key misspelled", "segexp train optimizer.lrr=1e-3"),
    ("dashes before an override", "segexp train --data=isbi"),
    ("no equals sign", "segexp train data isbi"),
    ("spaces around the equals sign", "segexp train data = isbi"),
    ("data that do not exist", "segexp train data=mine"),
    ("a word as a number", "segexp train trainer.max_epochs=ten"),
    ("a batch of nothing", "segexp train data.sampling.batch_size=0"),
    ("a negative learning rate", "segexp train optimizer.lr=-1"),
    ("a fraction above 1", "segexp train data.split.val=1.5"),
    ("a patch larger than the images", "segexp train data.sampling.patch_size=[512,512]"),
    ("a patch of too few axes", "segexp train data.sampling.patch_size=128"),
    ("a network without channels", "segexp train model.base_channels=0"),
    ("a recipe misspelled", "segexp train experiment=isbi_cpus"),
    ("a loss of regions for classes", "segexp train loss=bce"),
    ("other outputs than classes", "segexp train model.num_classes=3"),
    ("no GPU", "segexp train trainer=gpu"),
    ("several values without -m", "segexp train model=unet,unet_bilinear"),
    ("minutes and epochs", "segexp train minutes=10 trainer.max_epochs=5"),
    ("data that lie elsewhere", "segexp train data=hippocampus"),
    ("a folder misspelled", "segexp train " + FOLDER.format("imagse", "masks")),
    ("images and masks swapped", "segexp train " + FOLDER.format("masks", "images")),
    ("values of masks not declared", "segexp train " + FOLDER.format("images", "numbers")),
    ("masks of another size", "segexp train " + FOLDER.format("images", "small")),
    ("an image without a mask", "segexp train " + FOLDER.format("images", "few")),
    ("predict without a run", "segexp predict input=images output=predicted"),
    ("a run that is none", "segexp predict run=images input=images output=predicted"),
    ("words without keys", "segexp predict outputs/cells images predicted"),
    ("scoring without masks", "segexp evaluate run=outputs/cells data=folder data.source.images=images"),
    ("a comparison of nothing", "segexp compare output"),
    ("resuming what is done", "segexp train resume=outputs/cells"),
    ("a format that is none", "segexp export run=outputs/cells format=onx"),
)
TINY = (
    *("data.source.count=5", "data.source.size=[32,32]", "data.sampling.patch_size=[32,32]", "trainer=cpu"),
    *("data.sampling.patches_per_epoch=8", "model.base_channels=2", "model.depth=1", "trainer.max_epochs=1"),
    *("logger=none", "page=false", "hydra.run.dir=outputs/cells"),
)


@dataclass(frozen=True)
class Answer:
    """What a command said, how it ended, and the seconds of a processor that it took."""

    status: int
    seconds: float
    text: str

    @property
    def sentence(self) -> str:
        """The line of ours, which begins with the name of the command, and the first of what it lists."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        place = next((place for place, line in enumerate(lines) if re.match(r"segexp [\w-]+: ", line)), len(lines))
        return " ".join(lines[place : place + 1 + lines[place].endswith(":")]) if place < len(lines) else ""

    @property
    def is_good(self) -> bool:
        """Whether it is one sentence of ours, and the status tells that nothing was done."""
        foreign = re.search(r"Traceback|Error executing job|HYDRA_FULL_ERROR|hydra\.cc", self.text)
        return self.status in (1, 2) and not foreign and bool(self.sentence)


def environment() -> dict[str, str]:
    """Settings of processes that know no data of this machine and no GPU."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SEGEXP_")}
    return ours | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200", "CUDA_VISIBLE_DEVICES": ""}


def run(words: Sequence[str], folder: Path) -> Answer:
    """Run ``segexp`` with words in a folder, as a process."""
    start = _processor_seconds()
    command = [sys.executable, "-m", "segexp", *words]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=LONGEST
        )
    except subprocess.TimeoutExpired:
        return Answer(124, LONGEST, f"it was taken, and still runs after {LONGEST} s")
    return Answer(done.returncode, _processor_seconds() - start, done.stderr or done.stdout)


def _processor_seconds() -> float:
    """Seconds of a processor that the processes took which this one started, and which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fill(folder: Path) -> None:
    """Write the images, masks and the run that the command lines speak of."""
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (6, 160, 160))
    pixels = {"images": rng.integers(0, 200, (6, 160, 160)), "masks": 255 * masks, "numbers": 7 * masks}
    pixels |= {"few": pixels["masks"][:5], "small": pixels["masks"][:, :80, :80]}
    for name, images in pixels.items():
        (folder / name).mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image.astype(np.uint8)).save(folder / name / f"scan_{number}.png")
    answer = run(["train", *TINY], folder)
    if answer.status:
        raise RuntimeError(f"the run that the mistakes speak of failed: {answer.text}")


def words_of(line: str) -> list[str]:
    """Words of a command line, without the name of the program."""
    return shlex.split(line)[1:]


def table(answers: Sequence[Answer]) -> str:
    """Format the answers as Markdown."""
    lines = ["| | typed | answered | status | processor, s |", "| --- | --- | --- | ---: | ---: |"]
    for (what, line), answer in zip(MISTAKES, answers, strict=True):
        said = html.escape(answer.sentence, quote=False).replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")
        lines.append(f"| {what} | `{line}` | {said} | {answer.status} | {answer.seconds:.1f} |")
    return "\n".join(lines)


def main(numbers: Sequence[int]) -> None:
    """Run the mistakes with these numbers, from 1, or all and write the page."""
    chosen = [MISTAKES[number - 1] for number in numbers] or list(MISTAKES)
    with tempfile.TemporaryDirectory() as place:
        fill(Path(place))
        answers = []
        for _, line in chosen:
            answers.append(run(words_of(line), Path(place)))
            good = "" if answers[-1].is_good else "NOT GOOD "
            print(
                f"{good}{line}\n  {answers[-1].status} {answers[-1].seconds:.1f} s: {answers[-1].sentence}", flush=True
            )
            if not answers[-1].is_good:
                print(answers[-1].text)
    if not numbers:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        quick = sum(answer.seconds < 1 for answer in answers)
        when = f"Measured {datetime.now(UTC):%Y-%m-%d}, in seconds of a processor: {quick} of {len(answers)} below 1 s."
        PAGE.write_text(f"{before}{BEGIN}\n\n{table(answers)}\n\n{when}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]])
