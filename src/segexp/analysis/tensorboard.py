"""The HParams tab of TensorBoard: short names, and the figures that the run really ended with."""

from typing import Any

GROUPS = ("augment", "data", "loss", "model", "optimizer", "scheduler")
NODES = ("model", "optimizer")
FURTHER_GROUPS = ("data/intensity", "inference")
FURTHER_KEYS = (
    "data.batch_size",
    "data.patch_size",
    "data.patches_per_epoch",
    "data.foreground_share",
    "data.context",
    "data.spacing",
    "data.fold",
    "data.train_fraction",
    "trainer.max_epochs",
    "trainer.precision",
)


def hyperparameters(config: dict[str, Any], choices: dict[str, str]) -> dict[str, Any]:
    """Flatten what a researcher varies into plain scalars.

    TensorBoard sorts them by name and shows the first five unless asked: those are choices of groups; what is looked
    at less often is called ``run.…``.

    Args:
        config: The resolved configuration.
        choices: Chosen option of each group, such as {"model": "unet_bilinear"}.
    """
    params: dict[str, Any] = {name: choices[name] for name in GROUPS if choices.get(name)}
    for node in NODES:
        params |= {f"{node}.{key}": value for key, value in (config.get(node) or {}).items() if key[0] != "_"}
    params |= {f"run.{name.rpartition('/')[2]}": choices[name] for name in FURTHER_GROUPS if choices.get(name)}
    for key in FURTHER_KEYS:
        node, _, name = key.partition(".")
        params[f"run.{name}"] = config[node].get(name)
    params["seed"] = config["seed"]
    return {key: _plain(value) for key, value in params.items() if value is not None}


def _plain(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
