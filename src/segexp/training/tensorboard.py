"""What TensorBoard shows of a run: hyper-parameters with final figures, texts, the layout of its curves."""

import math
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from segexp.runs.configuration import Config

GROUPS = ("augment", "data", "loss", "model", "optimizer", "scheduler")
NODES = ("model", "optimizer")
FURTHER_GROUPS = ("data/intensity", "inference")
FURTHER_KEYS = (
    "data.sampling.batch_size",
    "data.sampling.patch_size",
    "data.sampling.patches_per_epoch",
    "data.sampling.foreground_fraction",
    "data.geometry.context",
    "data.geometry.spacing",
    "data.split.fold",
    "data.split.train_fraction",
    "trainer.max_epochs",
    "trainer.precision",
)
NO_SETTINGS = (
    "name",
    "seed",
    "resume",
    "paths",
    "hydra",
    "sweep",
    "logger",
    "callbacks.progress",
    "trainer.enable_progress_bar",
)
COSTS = ("minutes", "patches_per_second", "peak_memory_mib", "energy_wh")


def hyperparameters(
    config: Config, choices: dict[str, str], overrides: Iterable[str] = ()
) -> dict[str, bool | int | float | str]:
    """Flatten what a researcher varies into plain scalars.

    TensorBoard shows the five first: those that differ between runs, then by name. So choices of groups have short
    names, and what is looked at less often is called ``run.…``.

    Args:
        config: The resolved configuration.
        choices: Chosen option of each group, such as {"model": "unet_bilinear"}.
        overrides: Words of the command line; what they set is a hyper-parameter too.
    """
    params: dict[str, object] = {name: choices[name] for name in GROUPS if choices.get(name)}
    for name, node in (("model", config["model"]), ("optimizer", config["optimizer"])):
        params |= {f"{name}.{key}": value for key, value in node.items() if not key.startswith("_")}
    params |= {f"run.{name.rpartition('/')[2]}": choices[name] for name in FURTHER_GROUPS if choices.get(name)}
    params |= {f"run.{key.rpartition('.')[2]}": _value(config, key) for key in FURTHER_KEYS}
    params |= _overridden(config, choices, overrides)
    params["seed"] = config["seed"]
    return {key: _plain(value) for key, value in params.items() if value is not None}


def _overridden(config: Config, choices: dict[str, str], overrides: Iterable[str]) -> dict[str, object]:
    """Values of the keys and groups on the command line that `hyperparameters` does not show anyway."""
    found = {}
    for key in (word.partition("=")[0].lstrip("+~") for word in overrides):
        node, _, rest = key.partition(".")
        shown = key in (*GROUPS, *FURTHER_GROUPS, *FURTHER_KEYS) or node in NODES
        if shown or any(f"{key}.".startswith(f"{no}.") for no in NO_SETTINGS):
            continue
        name = rest if node == "data" and rest else key
        found[f"run.{name}"] = choices.get(key, _value(config, key))
    return found


def _value(node: object, key: str) -> object:
    """Value of a dotted key; None where there is no such key."""
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _plain(value: object) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)


def final_figures(content: dict[str, Any], classes: Iterable[str]) -> dict[str, float]:
    """Name the final figures so that the most looked at come first by name; undefined ones (nan) are left out.

    Args:
        content: Of results.json.
        classes: Names of the foreground classes or regions.

    Returns:
        ``final/headline``, ``final/test_dice``, ``final/val_dice``, …; ``final_class/test_dice_membrane``, … of
        single classes, where there are several; ``final_cost/minutes``, ….
    """
    names, figures = list(classes), {"final/headline": content["headline"]["value"]}
    for side in (side for side in ("test", "val") if side in content):
        means = [name for name in content[side] if not _of_class(name, names)]
        for name, value in content[side].items():
            if name in means:
                alone = name in content["undefined"][side]  # of the one part that its mean is of
                figures |= {} if alone else {f"final/{side}_{name}": value}
            elif len(names) > 1 or not any(name == f"{mean}_{names[0]}" for mean in means):
                figures[f"final_class/{side}_{name}"] = value
    figures |= {f"final_cost/{name}": content["training"].get(name) for name in COSTS}
    return {name: value for name, value in figures.items() if value is not None and math.isfinite(value)}


def _of_class(name: str, classes: list[str]) -> bool:
    return any(name.endswith(f"_{part}") for part in classes)


def layout(figures: Iterable[str], classes: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """Lay out the Custom Scalars tab: training and validation of each run in one chart, then a chart per figure.

    Args:
        figures: Names of the validation figures.
        classes: Names of the foreground classes or regions.

    Returns:
        Category -> title of the chart -> kind and regular expressions of its curves.
    """
    names = list(classes)
    whole = [name for name in figures if not _of_class(name, names)]
    return {
        "loss": {"loss, training and validation": _chart("train/loss", "val/loss")},
        "validation figures": {name: _chart(f"val/{name}") for name in whole},
        "validation figures of each class": {name: ["Multiline", [rf"^val/.+_{re.escape(name)}$"]] for name in names},
        "course of training": {"learning rate": _chart("lr"), "patches per second": _chart("train/patches_per_second")},
    }


def _chart(*tags: str) -> list[Any]:
    return ["Multiline", [f"^{re.escape(tag)}$" for tag in tags]]


def texts(record: dict[str, Any]) -> dict[str, str]:
    """Write down what was run, as Markdown: the configuration, and the README of its experiment where there is one.

    Args:
        record: Content of run.json.
    """
    command = " \\\n  ".join(["segexp train", *(shlex.quote(word) for word in record["overrides"])])
    config = yaml.safe_dump(record["config"], sort_keys=False, allow_unicode=True)
    written = {"configuration": f"```sh\n{command}\n```\n\n```yaml\n{config}```\n"}
    readme = _readme(record["choices"].get("experiment"))
    return written if readme is None else written | {"experiment": readme}


def _readme(experiment: str | None) -> str | None:
    """Return experiments/<name>/README.md of the working directory, else of the checkout."""
    for root in (Path.cwd(), Path(__file__).resolve().parents[3]) if experiment else ():
        path = root / "experiments" / str(experiment) / "README.md"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return None
