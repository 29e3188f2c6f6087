"""Settings of a training that could not end well; to look at them takes neither PyTorch nor Lightning."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from segexp.errors import require_at_least, require_between
from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder, clock_of_run
from segexp.signatures import require_keys, require_types

MOST_SEED = 2**32 - 1  # that NumPy takes
NEEDED = ("max_epochs", "accumulate_grad_batches", "precision", "strategy")  # settings of the trainer
LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")


def require_settings(config: Config, imported: bool = True) -> None:
    """Refuse settings with which a training could not end well.

    Args:
        config: Resolved configuration.
        imported: Whether Lightning may be imported, see ``segexp.signatures.require_types``.

    Raises:
        ValueError: Names setting, value, rule and remedy.
    """
    require_keys("", config, Config)
    trainer: dict[str, Any] = dict(config["trainer"])
    require_types("trainer", trainer, imported)
    for key in NEEDED:
        if key not in trainer:
            raise ValueError(f"trainer.{key} is missing: leave out what takes it away, such as ~trainer.{key}")
    _require_places(config)
    require_between("seed", config["seed"], 0, MOST_SEED, integer=True)
    for key in ("max_epochs", "accumulate_grad_batches"):
        require_at_least(f"trainer.{key}", trainer[key], 1, integer=True)
    for key in LIMITS:
        if trainer.get(key) == 0:
            raise ValueError(
                f"trainer.{key}=0 leaves nothing to train on or to score: it must be null, a fraction above 0, or a "
                "number of batches of at least 1"
            )
    if isinstance(config["minutes"], str):
        clock_of_run(config["minutes"])
    elif config["minutes"] is not None:
        require_between("minutes", config["minutes"], 0, 1_000_000, "they are those of the whole run", open_at="both")
    every = trainer.get("check_val_every_n_epoch") if config["minutes"] is None else None
    if every is not None and every > trainer["max_epochs"] and config["monitor"].startswith("val/"):
        raise ValueError(
            f"trainer.check_val_every_n_epoch={every} is beyond trainer.max_epochs={trainer['max_epochs']}: no epoch "
            f"would be validated, and none chosen by monitor={config['monitor']}; validate more often, or take "
            "monitor=train/loss"
        )


def _require_places(config: Config) -> None:
    """Refuse another place for a file that the end of the training, or another command, looks for in the run folder."""
    folder = RunFolder(Path(config["paths"]["run_dir"]))
    wanted: dict[str, dict[str, Any]] = {
        "best": {"dirpath": folder.best_checkpoint.parent, "filename": folder.best_checkpoint.stem},
        "last": {"path": folder.last_checkpoint},
        "table": {"path": folder.curves_path},
        "overview": {"record": folder.record_path},
    }
    for name, places in wanted.items():
        node: Any = config["callbacks"].get(name, {})
        for key, place in places.items():
            if key in node and node.get("enabled", True) and str(node[key]) != str(place):
                raise ValueError(
                    f"callbacks.{name}.{key}={node[key]!r} must be {place}, where it is looked for later: leave it "
                    "out, and let a further callback write elsewhere (+callbacks.mine._target_=…)"
                )


def outputs_of(config: Config) -> int:
    """Number of logits per pixel: one per class, or per overlapping region."""
    labels = config["data"]["labels"]
    return labels["num_classes"] if labels["regions"] is None else len(labels["regions"])


def channels_of(config: Config) -> int:
    """Number of channels that the network sees: those of the image, of all slices that it sees at once."""
    return config["data"]["channels"] * (2 * config["data"]["geometry"]["context"] + 1)


def require_facts(config: Config) -> None:
    """Refuse a network of ours with other channels or outputs than the data give.

    Raises:
        ValueError: Names key, value and the value that the data make it.
    """
    for key, fact in {"in_channels": channels_of(config), "num_classes": outputs_of(config)}.items():
        given = config["model"].get(key, fact)
        if given != fact:
            raise ValueError(f"model.{key}={given}, but the data make it {fact}: leave it out, the data set it")


def refuse_epochs_beside_minutes(config: Config, words: Iterable[str]) -> None:
    """Refuse overrides that fix both the time of a run and its epochs.

    Raises:
        ValueError: Names both, and what to leave out.
    """
    epochs = [word for word in words if word.startswith("trainer.max_epochs=")]
    if config["minutes"] is not None and epochs:
        raise ValueError(
            f"minutes={config['minutes']} and {epochs[-1]}: the epochs of a run by minutes are as many as fit; leave "
            "one of them out (minutes=null where a run that is resumed had them)"
        )
