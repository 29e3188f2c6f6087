"""Data sets described by a dataset.json: the Medical Segmentation Decathlon and nnU-Net's raw layout."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from segexp.data.case import IGNORED, Case, Entry
from segexp.data.files.mask_values import require_values
from segexp.data.files.volumes import opened_files, read_case, volume_stem
from segexp.errors import did_you_mean, require_choice, some

FACTS = ("channels", "num_classes", "class_names")


class Decathlon:
    """A task of the Medical Segmentation Decathlon: dataset.json, imagesTr and labelsTr.

    Cases are what dataset.json lists under "training", named by their images (hippocampus_001) and sorted by name.
    An image of four axes has its modalities on the last. The files of "test" have no labels and are left alone.

    Args:
        root: Folder with dataset.json.
        values: Class of each label in the files, such as {0: 0, 1: 1, 2: 1} to merge two; 255 = not labeled. None =
            the labels of dataset.json as they are.

    Raises:
        ValueError: ``values`` is no such map.

    Source: Antonelli et al. 2022 (Nature Communications 13:4128); Simpson et al. 2019 (arXiv:1902.09063).
    """

    def __init__(self, root: str | Path, values: Mapping[int, int] | None = None) -> None:
        if values is not None:
            require_values(values)
        self.root = Path(root)
        self.values = None if values is None else dict(values)

    def prepare(self) -> None:
        """Check that all listed files are there; the voxels are checked when read."""
        files = [file for _, (images, labels) in sorted(self._cases.items()) for file in (*images, labels)]
        missing = [f"{file.parent.name}/{file.name}" for file in files if not file.exists()]
        if missing:
            raise FileNotFoundError(f"{self.root} is incomplete, missing are {some(missing)}: get the whole data set")

    def entries(self) -> list[Entry]:
        """Return all labeled cases in the order of their names."""
        self.prepare()
        return [Entry(name, opened_files((*images, labels))) for name, (images, labels) in sorted(self._cases.items())]

    def read(self, name: str) -> Case:
        """Read one case: image (C, D, H, W), target (D, H, W) uint8."""
        if name not in self._cases:
            raise ValueError(f"{self.root} has no case {name!r}{did_you_mean(name, self._cases)}")
        return read_case(name, *self._cases[name], self.mask_values)

    @property
    def mask_values(self) -> dict[int, int]:
        """Class of each value of the masks: nnU-Net calls "ignore" what is not labeled."""
        if self.values is not None:
            return self.values
        return {label: IGNORED if name == "ignore" else label for label, name in _labels(self.root).items()}

    @cached_property
    def _cases(self) -> dict[str, tuple[tuple[Path, ...], Path]]:
        """Files of the channels, and of the labels, of each case."""
        path = self.root / "dataset.json"
        listed = _read_dataset_json(self.root).get("training")
        if not isinstance(listed, list) or not all(
            isinstance(pair, dict) and all(isinstance(pair.get(key), str) for key in ("image", "label"))
            for pair in listed
        ):
            raise ValueError(f'{path} must list {{"image": .., "label": ..}} under "training": fix it')
        pairs = [(self.root / pair["image"], self.root / pair["label"]) for pair in listed]
        stray = [file.name for pair in pairs for file in pair if file.name.startswith("._")]
        if stray:
            raise ValueError(f"{path} lists {some(stray)}, left behind by macOS and no volumes: take them out")
        names = [volume_stem(image) or image.name for image, _ in pairs]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"{path} lists {some(twice)} more than once: leave one of each")
        return {name: ((image,), labels) for name, (image, labels) in zip(names, pairs, strict=True)}


class NnUNetRaw(Decathlon):
    """A data set in nnU-Net's raw layout: imagesTr/<case>_0000<ending>, one file per channel, labelsTr/<case><ending>.

    The ending and the number of channels stand in dataset.json (version 2); hidden files are passed over. Labels called
    "ignore" become 255.

    Args:
        root: Folder with dataset.json, such as nnUNet_raw/Dataset004_Hippocampus.
        values: Class of each label in the files, see ``Decathlon``.

    Raises:
        ValueError: ``values`` is no such map.

    Source: Isensee et al. 2021 (Nature Methods 18:203-211), documentation/dataset_format.md of version 2.
    """

    channels_by_suffix = True  # so that images to predict are put together likewise

    @cached_property
    def _cases(self) -> dict[str, tuple[tuple[Path, ...], Path]]:
        """Files of the channels, and of the labels, of each case; ``prepare`` checks that all are there."""
        ending = _read_dataset_json(self.root).get("file_ending")
        if not isinstance(ending, str):
            raise ValueError(f'{self.root / "dataset.json"} has no "file_ending" such as ".nii.gz": add it')
        channels = dataset_fact(self.root, "channels")
        images, labels = self.root / "imagesTr", self.root / "labelsTr"
        # <case>_0000, <case>_0001 and so on are the channels of <case>.
        parts = {stem: re.fullmatch(r"(.+)_([0-9]{4})", stem) for stem in _stems(images, ending)}
        strange = [stem for stem, part in parts.items() if part is None or int(part[2]) >= channels]
        if strange:
            raise ValueError(
                f"{images} has {some(strange)}, but dataset.json has {channels} channels: names must end with _0000 to "
                f"_{channels - 1:04d}"
            )
        names = {part[1] for part in parts.values() if part is not None} | set(_stems(labels, ending))
        return {
            name: (tuple(images / f"{name}_{c:04d}{ending}" for c in range(channels)), labels / f"{name}{ending}")
            for name in names
        }


def _read_dataset_json(root: Path) -> dict[str, Any]:
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
        content = _read_dataset_json(root)
        channels = content.get("channel_names", content.get("modality"))
        if not isinstance(channels, dict) or not channels:
            raise ValueError(f'{root / "dataset.json"} has neither "modality" nor "channel_names": add one of them')
        return len(channels)
    names = {label: name for label, name in _labels(root).items() if name != "ignore"}
    if sorted(names) != list(range(len(names))):
        raise ValueError(
            f"labels {some(sorted(names))} in {root / 'dataset.json'} are not 0, 1, 2, …: give data.source.values, "
            "data.labels.num_classes and data.labels.class_names"
        )
    return len(names) if fact == "num_classes" else [names[label] for label in sorted(names)]


def _labels(root: Path) -> dict[int, str]:
    """Name of each label, from {"0": "background"} (Decathlon) or {"background": 0} (nnU-Net)."""
    path = root / "dataset.json"
    names: dict[int, str] = {}
    labels = _read_dataset_json(root).get("labels")
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


def _stems(folder: Path, ending: str) -> list[str]:
    """Names in a folder without the ending; hidden files, such as the ._ files of macOS, are passed over."""
    files = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
    stems = [file.removesuffix(ending) for file in files if file.endswith(ending) and file[0] != "."]
    if not stems:
        raise FileNotFoundError(f"{folder} has no files that end with {ending}: check root and dataset.json")
    return stems
