"""nnU-Net's raw layout."""

import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from segexp.data.files.images import SUFFIXES
from segexp.data.sources.dataset_json import dataset_fact, read_dataset_json
from segexp.data.sources.msd import Decathlon
from segexp.data.sources.pairs import CaseFiles
from segexp.errors import require_choice, some

_FIRST_VERSION = ".nii.gz"  # all files of version 1, which tells no ending


class NnUNetRaw(Decathlon):
    """A data set in nnU-Net's raw layout: imagesTr/<case>_0000<ending>, one file per channel, labelsTr/<case><ending>.

    The ending and the number of channels stand in dataset.json; version 1, which has "modality" and no ending, is
    .nii.gz. 2-D images (.png, .bmp, .tif) are read as nnU-Net does: an RGB image is one file, <case>_0000.png, that is
    three channels. Where dataset.json lists the files of the cases under "dataset", these are taken. Labels called
    "ignore" become 255; hidden files are passed over.

    Args:
        root: Folder with dataset.json, such as nnUNet_raw/Dataset004_Hippocampus.
        values: Class of each label in the files, see ``Decathlon``.
        cases: Which cases: Tr, or Ts, those of imagesTs with their labels in labelsTs, to score a run on them.

    Raises:
        ValueError: ``values`` is no such map, or there are no such cases.

    Source: Isensee et al. 2021 (Nature Methods 18:203-211), documentation/dataset_format.md of version 2.
    """

    channels_by_suffix = True  # so that images to predict are put together likewise

    def __init__(self, root: str | Path, values: Mapping[int, int] | None = None, cases: str = "Tr") -> None:
        super().__init__(root, values)
        require_choice("data.source.cases", cases, ("Tr", "Ts"))
        self.cases = cases

    @property
    def _folders(self) -> tuple[Path, Path]:
        return self.root / f"images{self.cases}", self.root / f"labels{self.cases}"

    @cached_property
    def _cases(self) -> dict[str, CaseFiles]:
        """Files of each case; ``prepare`` checks that all are there."""
        listed = read_dataset_json(self.root).get("dataset")
        if isinstance(listed, dict) and listed and self.cases == "Tr":
            return {name: self._listed(name, files) for name, files in listed.items()}
        channels, ending = dataset_fact(self.root, "channels"), self._ending
        images, labels = self._folders
        # <case>_0000, <case>_0001 and so on are the channels of <case>.
        parts = {stem: re.fullmatch(r"(.+)_([0-9]{4})", stem) for stem in _stems(images, ending)}
        numbers = Counter(int(part[2]) for part in parts.values() if part is not None)
        # An RGB image is one file of three channels.
        count = 1 if channels == 3 and set(numbers) == {0} and ending.lower() in SUFFIXES else channels
        strange = [stem for stem, part in parts.items() if part is None or int(part[2]) >= count]
        if strange:
            raise ValueError(
                f"{images} has {some(strange)}, but dataset.json has {channels} channels: names must end with _0000 to "
                f"_{count - 1:04d} (in a task of the Decathlon, which data=msd reads, they have no numbers)"
            )
        names = {part[1] for part in parts.values() if part is not None} | set(_stems(labels, ending))
        return {
            name: CaseFiles(
                tuple(images / f"{name}_{channel:04d}{ending}" for channel in range(count)),
                (labels / f"{name}{ending}",),
            )
            for name in names
        }

    def _listed(self, name: str, files: Any) -> CaseFiles:
        """Files of a case that dataset.json lists, relative to its folder."""
        images, label = (files.get("images"), files.get("label")) if isinstance(files, dict) else (None, None)
        if not isinstance(label, str) or not images or not all(isinstance(image, str) for image in images):
            raise ValueError(
                f'{self.root / "dataset.json"} has {name!r}: {files!r} under "dataset": it must be '
                '{"images": [one file per channel], "label": file}'
            )
        return CaseFiles(tuple(self.root / image for image in images), (self.root / label,))

    @property
    def _ending(self) -> str:
        content = read_dataset_json(self.root)
        ending = content.get("file_ending", _FIRST_VERSION if "modality" in content else None)
        if not isinstance(ending, str) or not ending:
            raise ValueError(f'{self.root / "dataset.json"} has no "file_ending" such as ".nii.gz": add it')
        return ending

    @property
    def _why_not(self) -> str:
        return f"no end {self._ending} of a case"


def _stems(folder: Path, ending: str) -> list[str]:
    """Names in a folder without the ending; hidden files, such as the ._ files of macOS, are passed over."""
    files = sorted(file.name for file in folder.iterdir() if file.name[0] != ".") if folder.is_dir() else []
    stems = [file.removesuffix(ending) for file in files if file.endswith(ending)]
    if not stems:
        endings = Counter("".join(Path(file).suffixes[-2:]) or "no suffix" for file in files)
        seen = some(f"{count} {ending}" for ending, count in endings.most_common()) or "nothing"
        raise FileNotFoundError(
            f"{folder} has no files that end with {ending}, as dataset.json says; it has {seen}: check root, and "
            '"file_ending" in dataset.json'
        )
    return stems
