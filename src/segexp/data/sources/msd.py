"""The Medical Segmentation Decathlon, and whatever else a dataset.json lists."""

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from segexp.data.case import IGNORED, Case, Entry
from segexp.data.files.images import SUFFIXES
from segexp.data.files.mask_values import require_values
from segexp.data.files.volumes import volume_stem
from segexp.data.sources.dataset_json import dataset_fact, read_dataset_json, read_labels
from segexp.data.sources.pairs import CaseFiles, PairReader
from segexp.errors import did_you_mean, some


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
        files = [file for _, files in sorted(self._cases.items()) for file in files.all]
        missing = [file for file in files if not file.exists()]
        if not missing:
            return
        numbered = [file.with_name(file.name.replace(".", "_0000.", 1)) for file in missing]
        if any(file.exists() for file in numbered):
            found = next(file for file in numbered if file.exists())
            raise ValueError(
                f"{self.root / 'dataset.json'} lists {found.name.replace('_0000', '', 1)}, and {found} is there: this "
                "is nnU-Net's raw layout, which data=nnunet reads"
            )
        names = some(f"{file.parent.name}/{file.name}" for file in missing)
        raise FileNotFoundError(f"{self.root} is incomplete, missing are {names}: get the whole data set")

    def entries(self) -> list[Entry]:
        """Return all labeled cases in the order of their names."""
        self.prepare()
        return [Entry(name, files.opened) for name, files in sorted(self._cases.items())]

    def read(self, name: str) -> Case:
        """Read one case: image (C, D, H, W), target (D, H, W) uint8; of 2-D images (C, H, W) and (H, W)."""
        if name not in self._cases:
            raise ValueError(f"{self.root} has no case {name!r}{did_you_mean(name, self._cases)}")
        files = self._cases[name]
        # Volumes have the channels of their files; of 2-D images the reader must know how many are wanted.
        flat = files.images[0].name.lower().endswith(SUFFIXES)
        channels = dataset_fact(self.root, "channels") if flat else 1
        return PairReader(self.mask_values, channels).read_files(name, files)

    def left_out(self) -> dict[str, tuple[str, ...]]:
        """Tell what lies in imagesTr and labelsTr and belongs to no case, as the function ``left_out`` does."""
        taken = {file for files in self._cases.values() for file in files.all}
        left: dict[str, tuple[str, ...]] = {}
        for folder in self._folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                reason = "hidden" if path.name.startswith(".") else self._why_not
                if path not in taken:
                    left[reason] = (*left.get(reason, ()), f"{folder.name}/{path.name}")
        return left

    @property
    def _folders(self) -> tuple[Path, Path]:
        """Folders of the images and of the labels."""
        return self.root / "imagesTr", self.root / "labelsTr"

    @property
    def _why_not(self) -> str:
        return "not in dataset.json"

    @property
    def mask_values(self) -> dict[int, int]:
        """Class of each value of the masks: nnU-Net calls "ignore" what is not labeled."""
        if self.values is not None:
            return self.values
        return {label: IGNORED if name == "ignore" else label for label, name in read_labels(self.root).items()}

    @cached_property
    def _cases(self) -> dict[str, CaseFiles]:
        """Files of each case."""
        path = self.root / "dataset.json"
        listed = read_dataset_json(self.root).get("training")
        if not isinstance(listed, list) or not all(
            isinstance(pair, dict) and all(isinstance(pair.get(key), str) for key in ("image", "label"))
            for pair in listed
        ):
            raise ValueError(f'{path} must list {{"image": .., "label": ..}} under "training": fix it')
        pairs = [(self.root / pair["image"], self.root / pair["label"]) for pair in listed]
        stray = [file.name for pair in pairs for file in pair if file.name.startswith("._")]
        if stray:
            raise ValueError(f"{path} lists {some(stray)}, left behind by macOS and no volumes: take them out")
        names = [volume_stem(image) or image.stem for image, _ in pairs]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"{path} lists {some(twice)} more than once: leave one of each")
        return {name: CaseFiles((image,), (labels,)) for name, (image, labels) in zip(names, pairs, strict=True)}
