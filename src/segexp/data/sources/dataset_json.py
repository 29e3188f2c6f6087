"""dataset.json, which describes a task of the Medical Segmentation Decathlon or a data set of nnU-Net."""

import json
from pathlib import Path
from typing import Any

from segexp.errors import require_choice, some

FACTS = ("channels", "num_classes", "class_names", "regions")


def read_dataset_json(root: Path) -> dict[str, Any]:
    """Read root/dataset.json; refuses what is not there or no JSON object."""
    path = root / "dataset.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there: set data.source.root to the folder that holds dataset.json, that of a task of the "
            "Medical Segmentation Decathlon (http://medicaldecathlon.com, CC-BY-SA 4.0) or of a data set of nnU-Net; "
            f"or SEGEXP_DATA_DIR to the folder that holds {root.name}"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): fix it, or get it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object: fix it, or get it again")
    return content


def dataset_fact(root: str | Path, fact: str) -> Any:
    """One fact from root/dataset.json, for the configuration.

    Args:
        root: Folder with dataset.json, of the Decathlon or of nnU-Net.
        fact: "channels" (a number), "num_classes" (background counts, "ignore" does not), "class_names" (a list), or
            "regions" (name -> classes, where labels of nnU-Net are regions; else None).

    Raises:
        FileNotFoundError: There is no dataset.json.
        ValueError: It does not tell, or the labels are not 0, 1, 2, …; or there is no such fact.
    """
    require_choice("fact", fact, FACTS)
    root = Path(root)
    if fact == "channels":
        content = read_dataset_json(root)
        channels = content.get("channel_names", content.get("modality"))
        if not isinstance(channels, dict) or not channels:
            raise ValueError(f'{root / "dataset.json"} has neither "modality" nor "channel_names": add one of them')
        return len(channels)
    if fact == "regions":
        return read_regions(root)
    names = {label: name for label, name in read_labels(root).items() if name != "ignore"}
    if sorted(names) != list(range(len(names))):
        raise ValueError(
            f"labels {some(sorted(names))} in {root / 'dataset.json'} are not 0, 1, 2, …: give data.source.values, "
            "data.labels.num_classes and data.labels.class_names"
        )
    return len(names) if fact == "num_classes" else [names[label] for label in sorted(names)]


def read_labels(root: Path) -> dict[int, str]:
    """Name of each label, from {"0": "background"} (Decathlon) or {"background": 0} (nnU-Net).

    Labels that only regions speak of are called label_1 and so on.
    """
    path = root / "dataset.json"
    names: dict[int, str] = {}
    for key, value in _labels(root).items():
        if isinstance(value, list):
            continue
        name, label = (key, value) if isinstance(value, int) else (value, key)
        if not str(label).isdecimal() or not isinstance(name, str) or int(label) in names:
            raise ValueError(
                f"{path} has {key!r}: {value!r} among its labels: each needs a name and a number of its own"
            )
        names[int(label)] = name
    of_regions = {label for classes in (read_regions(root) or {}).values() for label in classes}
    names |= {label: f"label_{label}" for label in sorted(of_regions - set(names))}
    if not names:
        raise ValueError(f'{path} has no "labels" such as {{"0": "background", "1": "liver"}}: add them')
    return names


def read_regions(root: Path) -> dict[str, list[int]] | None:
    """Classes of each region, from {"background": 0, "whole": [1, 2], "core": 2} (nnU-Net); None without a list."""
    labels = _labels(root)
    if not any(isinstance(value, list) for value in labels.values()):
        return None
    regions = {name: value if isinstance(value, list) else [value] for name, value in labels.items()}
    for name, classes in regions.items():
        if not classes or not all(type(label) is int for label in classes):
            raise ValueError(
                f"{root / 'dataset.json'} gives {name!r} the region {classes}: a region lists labels such as [1, 2]"
            )
    return {name: classes for name, classes in regions.items() if name not in ("background", "ignore")}


def _labels(root: Path) -> dict[str, Any]:
    labels = read_dataset_json(root).get("labels")
    return labels if isinstance(labels, dict) else {}
