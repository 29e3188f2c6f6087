"""The HParams tab of TensorBoard: short names, and the figures that the run really ended with."""

from typing import Any

GROUPS = ("data", "model", "augment", "loss", "optimizer", "scheduler", "inference")
NODES = ("model", "optimizer")
KEYS = ("data.batch_size", "data.patch_size", "data.patches_per_epoch", "data.fold", "trainer.max_epochs")


def hyperparameters(config: dict[str, Any], choices: dict[str, str]) -> dict[str, Any]:
    """Flatten what a researcher varies into plain scalars.

    Args:
        config: The resolved configuration.
        choices: Chosen option of each group, such as {"model": "unet_bilinear"}.
    """
    params: dict[str, Any] = {name: choices[name] for name in GROUPS if choices.get(name)}
    for node in NODES:
        params |= {f"{node}.{key}": value for key, value in (config.get(node) or {}).items() if key[0] != "_"}
    for key in KEYS:
        node, _, name = key.partition(".")
        params[key] = config[node].get(name)
    params["precision"], params["seed"] = config["trainer"]["precision"], config["seed"]
    return {key: _plain(value) for key, value in params.items() if value is not None}


def _plain(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
