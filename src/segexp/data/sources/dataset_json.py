"""dataset.json, which describes a task of the Medical Segmentation Decathlon or a data set of nnU-Net."""

import json
from pathlib import Path
from typing import Any

from segexp.errors import require_choice, some

FACTS = ("channels", "num_classes", "class_names")


def read_dataset_json(root: Path) -> dict[str, Any]:
    """Read root/dataset.json; refuses what is not there or no JSON object."""
    path = root / "dataset.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: set data.source.root to the folder that holds dataset.json")
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
        fact: "channels" (a number), "num_classes" (background counts, "ignore" does not) or "class_names" (a list).

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
    names = {label: name for label, name in read_labels(root).items() if name != "ignore"}
    if sorted(names) != list(range(len(names))):
        raise ValueError(
            f"labels {some(sorted(names))} in {root / 'dataset.json'} are not 0, 1, 2, …: give data.source.values, "
            "data.labels.num_classes and data.labels.class_names"
        )
    return len(names) if fact == "num_classes" else [names[label] for label in sorted(names)]


def read_labels(root: Path) -> dict[int, str]:
    """Name of each label, from {"0": "background"} (Decathlon) or {"background": 0} (nnU-Net)."""
    path = root / "dataset.json"
    names: dict[int, str] = {}
    labels = read_dataset_json(root).get("labels")
    for key, value in labels.items() if isinstance(labels, dict) else ():
        if isinstance(value, list):
            raise ValueError(
                f"{path} gives {key!r} the region {value}: list single labels, and set data.labels.regions"
            )
        name, label = (key, value) if isinstance(value, int) else (value, key)
        if not str(label).isdecimal() or not isinstance(name, str) or int(label) in names:
            raise ValueError(
                f"{path} has {key!r}: {value!r} among its labels: each needs a name and a number of its own"
            )
        names[int(label)] = name
    if not names:
        raise ValueError(f'{path} has no "labels" such as {{"0": "background", "1": "liver"}}: add them')
    return names
