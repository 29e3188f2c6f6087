"""Content of TensorBoard for a run: hyper-parameters with final metrics, texts, the layout of its curves."""

import math
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import yaml

from segexp.runs.configuration import Config
from segexp.runs.record import Record, SplitName
from segexp.runs.results import Results

Scalar = bool | int | float | str
Chart = list[str | list[str]]  # kind, regular expressions of its curves
Layout = dict[str, dict[str, Chart]]  # category -> title of the chart -> chart
FINAL_SPLITS: tuple[SplitName, ...] = ("test", "val")
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


def hyperparameters(config: Config, choices: dict[str, str], overrides: Iterable[str] = ()) -> dict[str, Scalar]:
    """Flatten what a researcher varies into plain scalars.

    TensorBoard shows the first five: those that differ between runs, then by name. So choices of groups have short
    names, and what is looked at less often is called ``run.…``.

    Args:
        config: Resolved configuration.
        choices: Chosen option of each group, such as {"model": "unet_bilinear"}.
        overrides: Overrides of the command line; what they set is a hyper-parameter too.
    """
    params: dict[str, object] = {name: choices[name] for name in GROUPS if choices.get(name)}
    for name, node in (("model", config["model"]), ("optimizer", config["optimizer"])):
        params |= {f"{name}.{key}": value for key, value in node.items() if not key.startswith("_")}
    params |= {f"run.{name.rpartition('/')[2]}": choices[name] for name in FURTHER_GROUPS if choices.get(name)}
    params |= {f"run.{key.rpartition('.')[2]}": _value(config, key) for key in FURTHER_KEYS}
    params |= _overridden(config, choices, overrides)
    params["seed"] = config["seed"]
    known = {key: value for key, value in params.items() if value is not None}
    return {key: value if isinstance(value, Scalar) else str(value) for key, value in known.items()}


def _overridden(config: Config, choices: dict[str, str], overrides: Iterable[str]) -> dict[str, object]:
    """Values of the keys and groups on the command line that `hyperparameters` does not show anyway."""
    found = {}
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
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


def final_metrics(results: Results, classes: Iterable[str]) -> dict[str, float]:
    """Name the final metrics so that they stand below the curves, those looked at most first.

    Undefined ones (nan) are left out.

    TensorBoard orders its cards by name. In a name, "/" and "_" are the same to it.

    Returns:
        ``z_final/headline``, ``z_final/test_dice``, ``z_final/val_dice``, …; of single classes, where there are
        several, ``z_final_per_class/test_dice_membrane``, …; ``z_final_resources/minutes``, ….
    """
    names = list(classes)
    final: dict[str, object] = {"z_final/headline": results["headline"]["value"]}
    for split in FINAL_SPLITS:
        scores = results.get(split, {})
        means = [name for name in scores if not _of_class(name, names)]
        for name, value in scores.items():
            if name in means:
                # A single class stands for its mean, which is shown in its place.
                if name not in results["undefined"][split]:
                    final[f"z_final/{split}_{name}"] = value
            elif len(names) > 1 or not any(name == f"{mean}_{names[0]}" for mean in means):
                final[f"z_final_per_class/{split}_{name}"] = value
    final |= {f"z_final_resources/{name}": results["training"].get(name) for name in COSTS}
    return {name: value for name, value in final.items() if isinstance(value, int | float) and math.isfinite(value)}


def _of_class(name: str, classes: list[str]) -> bool:
    return any(name.endswith(f"_{part}") for part in classes)


def layout(metrics: Iterable[str], classes: Iterable[str]) -> Layout:
    """Lay out the Custom Scalars tab: training and validation of each run in one chart, then a chart per metric."""
    names = list(classes)
    whole = [name for name in metrics if not _of_class(name, names)]
    return {
        "loss": {"loss, training and validation": _chart("train/loss", "val/loss")},
        "validation metrics": {name: _chart(f"val/{name}") for name in whole},
        "validation metrics of each class": {name: ["Multiline", [rf"^val/.+_{re.escape(name)}$"]] for name in names},
        "learning rate and speed": {
            "learning rate": _chart("train/lr"),
            "patches per second": _chart("train/patches_per_second"),
        },
    }


def _chart(*tags: str) -> Chart:
    return ["Multiline", [f"^{re.escape(tag)}$" for tag in tags]]


def texts(record: Record) -> dict[str, str]:
    """Describe what was run in Markdown: the configuration, and the README of its experiment where there is one."""
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
