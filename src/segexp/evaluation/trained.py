"""A trained run whose data and network are built again from its own overrides, for scoring.

The folder may be a stranger's: of its overrides none reaches paths, callbacks or loggers, and the others are composed
in a checked way, see `segexp.trust`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from segexp.build import build_data, build_task
from segexp.checkpoints.checkpoint import Checkpoint, load_checkpoint, load_weights
from segexp.checkpoints.description import ModelDescription
from segexp.checkpoints.networks import name_and_arguments
from segexp.checkpoints.own import require_own
from segexp.data import DataModule
from segexp.data.intensity.named import rule_from
from segexp.importable import targets_in
from segexp.prediction.views import NOT_KNOWN
from segexp.runs.configuration import Config, Node
from segexp.runs.folder import RunFolder, require_runs
from segexp.runs.ownership import config_dirs_of_run, is_own, require_config_dirs
from segexp.runs.record import Record
from segexp.runs.results import Results
from segexp.sweeps.jobs import key_of
from segexp.training.task import Task
from segexp.trust import Foreign, Vouched, compose_checked

_log = logging.getLogger(__name__)

LEFT_OUT = (  # of the run's overrides
    *("hydra", "paths", "name", "resume", "callbacks", "logger", "sweep"),
    *("data.cache", "data.origin"),
)
GEOMETRY = ("data.geometry.context", "data.geometry.slice_axis", "data.geometry.spatial_dims")
OF_THE_NETWORK = ("model", "data.intensity", "data/intensity", *GEOMETRY)


@dataclass(frozen=True)
class Trained:
    """What a run folder holds."""

    folder: Path
    record: Record
    results: Results  # empty if the run has not ended well
    checkpoint: Checkpoint  # of the best epoch
    description: ModelDescription  # of the network, from the checkpoint

    @property
    def files(self) -> RunFolder:
        """Its files by name."""
        return RunFolder(self.folder, foreign=True)

    @property
    def chosen(self) -> dict[str, float]:
        """Values chosen on validation cases: by the final scoring, else by the best epoch's own validation."""
        final = self.results.get("chosen_on_val", {})
        return {key: float(final.get(key, value)) for key, value in self.description.chosen.items()}


def open_trained(folder: Path) -> Trained:
    """Read a run folder, and run nothing that it holds.

    Raises:
        FileNotFoundError: There is no run, or it has not finished an epoch.
        ValueError: A file is broken or foreign.
    """
    run = RunFolder(folder, foreign=True)
    require_runs([folder])
    path = run.best_checkpoint
    checkpoint = load_checkpoint(path, folder)
    description = ModelDescription.from_plain(checkpoint["segexp"], str(path))
    record = run.record()
    if "evaluation" in record:
        raise ValueError(f"run={folder} is an evaluation of {record['evaluation'].get('run')}: name that run")
    require_own(checkpoint, path, record.get("id", ""), "predict with the file itself")
    return Trained(folder, record, run.results(), checkpoint, description)


def compose_again(run: Trained, arguments: Sequence[str], folder: Path) -> Config:
    """Compose the run's configuration with further overrides, and a folder in place of the run's.

    Its own folders of configuration are found again, unless ``--config-dir`` gives others; ``--trust`` takes all words
    of the run for the user's own.

    Raises:
        FileNotFoundError: A folder of configuration is gone.
        ValueError: An argument is no override or belongs to the network, or the run names a class that is not ours.
    """
    vouched, overrides = Vouched.of(arguments)
    for override in overrides:
        if "=" not in override and not override.startswith("~"):
            raise ValueError(f"{override} is no key=value: --help lists what can be given")
        if any(_within(key_of(override), key) for key in (*OF_THE_NETWORK, "data.geometry.spacing")):
            raise ValueError(f"{override}: that belongs to the trained network and cannot be changed; leave it out")
    left_out = (*LEFT_OUT, "data") if changes_data(overrides) else LEFT_OUT
    stored = run.record["overrides"]
    stored = [override for override in stored if not any(_within(key_of(override), key) for key in left_out)]
    if changes_data(overrides):
        stored += _facts(run.description)
    remedy = "if the run is yours, give it as an argument, too; if not, leave the run alone"
    own = is_own(run.record) or vouched.everything
    foreign = Foreign(stored, run.folder, run.files.record_path, remedy, own)
    folders = vouched.folders or config_dirs_of_run(run.record, vouched.everything)
    require_config_dirs(folders)
    config = compose_checked(foreign, [*(f"--config-dir={one}" for one in folders), *overrides], folder)
    recorded = run.record.get("config", {}).get("trainer", {}).get("precision")
    if recorded and not any(key_of(override) == "trainer.precision" for override in overrides):
        config["trainer"]["precision"] = recorded  # another machine would choose another one
    return config


def changes_data(arguments: Sequence[str]) -> bool:
    """Whether overrides choose another data set."""
    return any(key_of(override) == "data" for override in arguments)


def _facts(description: ModelDescription) -> list[str]:
    """What a network needs of its data, as overrides; spacing and intensity are set when the data are built."""
    facts = [f"{key}={getattr(description, key.rpartition('.')[2])}" for key in (*GEOMETRY, "data.sampling.patch_size")]
    if description.regions is not None:
        regions = ",".join(f"{name}: {classes}" for name, classes in description.regions.items())
        facts.append(f"data.labels.regions={{{regions}}}")
    return facts


def _within(key: str, part: str) -> bool:
    return key == part or key.startswith((f"{part}.", f"{part}/", f"{part}@"))


def build_again(config: Config, run: Trained, symmetries: list[str] | None) -> tuple[DataModule, Task]:
    """Build data module and task with the weights of the best epoch; images are made ready as in training.

    Args:
        config: Configuration of the run, composed again.
        run: The run.
        symmetries: Flips and turns that the training showed to the network, or to all those of an ensemble; None = not
            known, which is a warning of the log where predictions are averaged over views.

    Raises:
        ValueError: Network, classes or channels are not those of the run, or predictions are to be averaged over views
            that the network has not seen.
    """
    description = run.description
    data_node = config["data"] | {
        "geometry": config["data"]["geometry"]
        | {"spacing": description.spacing, "spacing_unit": description.spacing_unit},
        "sampling": config["data"]["sampling"] | {"foreground_fraction": 0.0},
    }
    # What the file says may set arguments, but name nothing that would be built.
    told = {key: value for key, value in description.model.items() if not targets_in(value)}
    model = cast(Node, {key: told.get(key, value) for key, value in config["model"].items()})
    config = config | {"data": data_node, "model": model, "augment": None, "weight_map": None}
    data = build_data(config)
    data.intensity = rule_from(description.intensity)
    for key in ("labels.class_names", "channels", "labels.regions"):
        fact = key.rpartition(".")[2]
        have = getattr(data.description(), fact)
        trained_with = getattr(description, fact)
        if have != trained_with:
            raise ValueError(
                f"data.{key}={have}, but the network was trained with {trained_with}: choose data of the same classes, "
                f"or say data.{key}=... where only the names differ"
            )
    task = build_task(config, symmetries)
    if symmetries is None and config["inference"]["averaging"]:
        _log.warning("%s: %s", run.folder, NOT_KNOWN)
    name, _ = name_and_arguments(task.network, model)
    if name != description.network:
        raise ValueError(f"model gives {name}, but the run trained {description.network}")
    load_weights(task.network, run.checkpoint)
    return data, task
