"""How each method trains for some minutes and predicts the test cases, each as its users run it."""

import csv
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.equal_minutes.datasets import DataSet, Layouts
from benchmarks.equal_minutes.peers import IN_PEERS, ROOT, Peers, command
from benchmarks.equal_minutes.pytorch_unet import pytorch_unet


@dataclass(frozen=True)
class Job:
    """One method, set and number of minutes.

    Args:
        data_set: The set.
        layouts: Its files.
        minutes: Minutes that training may take.
        folder: Folder of this job; its predictions/ takes a mask per test case.
        peers: Where the peers lie.
        recipe: Overrides of `segexp train` that choose the recipe.
    """

    data_set: DataSet
    layouts: Layouts
    minutes: float
    folder: Path
    peers: Peers
    recipe: tuple[str, ...]

    @property
    def log(self) -> Path:
        """What its commands print."""
        return self.folder / "log.txt"

    @property
    def predictions(self) -> Path:
        """Folder of the predicted masks."""
        return self.folder / "predictions"


@dataclass(frozen=True)
class Outcome:
    """What a method took.

    Args:
        train: Seconds of its training, from the start of the command.
        prepare: Seconds of preparation that do not count.
        predict: Seconds for the test cases.
        steps: Number of steps of the optimizer.
        parameters: Number of trainable parameters.
        note: What else is to be said, such as training images left out.
    """

    train: float
    prepare: float
    predict: float
    steps: int
    parameters: int
    note: str = ""


def segexp(job: Job) -> Outcome:
    """`segexp train` with its plan, then `segexp predict`."""
    variables = job.peers.variables(PYTHONPATH=f"{ROOT / 'src'}")
    run = job.folder / "run"
    listed = ["data.split.method=list", f"data.split.lists={job.layouts.lists.absolute()}", "data.split.fold=null"]
    recipe = [word.replace("MINUTES", f"{job.minutes:g}") for word in job.recipe]
    words = [*job.data_set.overrides, *listed, *recipe, f"hydra.run.dir={run}"]
    train = command([sys.executable, "-m", "segexp", "train", *words], job.log, variables)
    words = [f"run={run}", f"input={job.layouts.test}", f"output={job.predictions}"]
    predict = command([sys.executable, "-m", "segexp", "predict", *words], job.log, variables)
    record = json.loads((run / "run.json").read_text())
    return Outcome(train, 0.0, predict, steps_of(run), record["parameters"])


def steps_of(run: Path) -> int:
    """Read the number of steps of a run of segexp: the last one of the table of its epochs."""
    with (run / "metrics.csv").open(newline="") as file:
        return int(list(csv.DictReader(file))[-1]["step"])


def nnunet(job: Job) -> Outcome:
    """`nnUNetv2_plan_and_preprocess`, `nnUNetv2_train` with a trainer that ends by the clock, `nnUNetv2_predict`."""
    place = job.layouts.folder
    number, configuration = "1", job.data_set.configuration
    record = job.folder / "facts.json"
    variables = job.peers.variables(
        nnUNet_raw=job.layouts.raw.parent.absolute(),
        nnUNet_preprocessed=(place / "nnUNet_preprocessed").absolute(),
        nnUNet_results=(job.folder / "nnUNet_results").absolute(),
        nnUNet_extTrainer=IN_PEERS / "trainers",
        EQUAL_MINUTES_RECORD=record.absolute(),
    )
    prepare = nnunet_prepared(job, variables)
    trainer = ["-tr", "MinutesTrainer", "-device", "cpu"]
    end = {"EQUAL_MINUTES_END": str(time.time() + 60 * job.minutes)}
    train = command(["nnUNetv2_train", number, configuration, "0", *trainer], job.log, variables | end)
    words = ["-i", job.layouts.raw / "imagesTs", "-o", job.predictions, "-d", number, "-c", configuration, "-f", "0"]
    predict = command(["nnUNetv2_predict", *words, *trainer], job.log, variables)
    facts = json.loads(record.read_text())
    return Outcome(train, prepare, predict, facts["steps"], facts["parameters"])


def nnunet_prepared(job: Job, variables: dict[str, str]) -> float:
    """Plan and preprocess a set, once for all minutes; return the seconds that this took."""
    noted = job.layouts.folder / "nnunet_seconds.json"
    if not noted.is_file():
        words = ["-d", "1", "-c", job.data_set.configuration, "--verify_dataset_integrity"]
        words += ["-npfp", str(job.peers.threads), "-np", str(job.peers.threads)]
        seconds = command(["nnUNetv2_plan_and_preprocess", *words], job.log, variables)
        split = job.layouts.split
        fold = {"train": list(split.train), "val": list(split.val)}
        splits = Path(variables["nnUNet_preprocessed"]) / job.layouts.raw.name / "splits_final.json"
        splits.write_text(json.dumps([fold]))
        noted.write_text(json.dumps(seconds))
    return float(json.loads(noted.read_text()))


def monai(job: Job) -> Outcome:
    """The recipe of MONAI's tutorial for volumes or images."""
    start = time.time()
    words = [job.peers.python, IN_PEERS / "monai_recipe.py", job.layouts.monai, job.folder]
    total = command([*words, str(start + 60 * job.minutes)], job.log, job.peers.variables())
    facts = json.loads((job.folder / "facts.json").read_text())
    train = facts["trained"] - start
    return Outcome(train, 0.0, total - train, facts["steps"], facts["parameters"])


def default_unet(job: Job) -> Outcome:
    """Pytorch-UNet's train.py at its default scale."""
    return unet(job, job.data_set.scale)


def full_unet(job: Job) -> Outcome:
    """Pytorch-UNet's train.py at full scale."""
    return unet(job, 1.0)


def unet(job: Job, scale: float) -> Outcome:
    """Pytorch-UNet's train.py and predict.py."""
    facts = pytorch_unet(job.layouts, job.folder, job.peers, job.minutes, scale)
    return Outcome(**facts)


METHODS: dict[str, Callable[[Job], Outcome]] = {
    "segexp": segexp,
    "nnunet": nnunet,
    "monai": monai,
    "pytorch_unet": default_unet,
    "pytorch_unet_full": full_unet,
}
NAMES = {
    "segexp": "segexp, its plan",
    "nnunet": "nnU-Net v2",
    "monai": "MONAI, tutorial",
    "pytorch_unet": "Pytorch-UNet, train.py",
    "pytorch_unet_full": "Pytorch-UNet, --scale 1",
}
