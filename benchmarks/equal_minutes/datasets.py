"""The sets that all methods learn: the same cases, written once in the layout that each method reads."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from segexp.build import build_data
from segexp.config import compose, plain
from segexp.data import DataModule
from segexp.data.case import Case, unlabeled_outside
from segexp.data.splits import Split, make_split


@dataclass(frozen=True)
class DataSet:
    """A set as all methods have it.

    Args:
        name: Name of the set.
        overrides: Overrides of `segexp train` that choose data and split.
        class_names: Name of each class, background first.
        suffix: Suffix of images and masks.
        channel_names: Name of each channel, for nnU-Net.
        configuration: Configuration of nnU-Net.
        scale: Scale of Pytorch-UNet: its default where that runs.
        objects: Whether objects are scored, too.
    """

    name: str
    overrides: tuple[str, ...]
    class_names: tuple[str, ...]
    suffix: str = ".png"
    channel_names: tuple[str, ...] = ("R", "G", "B")
    configuration: str = "2d"
    scale: float = 0.5
    objects: bool = False

    @property
    def volumes(self) -> bool:
        """Whether its images are volumes."""
        return self.suffix == ".nii.gz"


SETS = {
    data_set.name: data_set
    for data_set in (
        DataSet(
            "hippocampus",
            ("data=hippocampus", "data.split.method=nnunet", "data.split.fold=0"),
            ("background", "anterior", "posterior"),
            suffix=".nii.gz",
            channel_names=("MRI",),
            configuration="3d_fullres",
            scale=1.0,  # at half of it, a slice leaves the lowest level one pixel, which BatchNorm refuses
        ),
        DataSet("drive", ("data=drive",), ("background", "vessel")),
        DataSet("nuclei", ("data=nuclei",), ("background", "nucleus"), objects=True),
    )
}


@dataclass(frozen=True)
class Layouts:
    """A set on the disk, in the layouts of all methods.

    Args:
        folder: Folder of the set.
        data_set: The set.
    """

    folder: Path
    data_set: DataSet

    @property
    def lists(self) -> Path:
        """JSON with the names of the cases of each split, as ``data.split.lists`` takes it."""
        return self.folder / "split.json"

    @property
    def split(self) -> Split:
        """Names of the cases of each split."""
        return Split(**{name: tuple(cases) for name, cases in json.loads(self.lists.read_text()).items()})

    @property
    def raw(self) -> Path:
        """Folder of the set in nnU-Net's raw layout; the test cases have no masks there."""
        return self.folder / "nnUNet_raw" / f"Dataset001_{self.data_set.name}"

    @property
    def test(self) -> Path:
        """Folder of the test images, each under the name of its case."""
        return self.folder / "test"

    @property
    def monai(self) -> Path:
        """JSON with the files of each split."""
        return self.folder / "monai.json"

    @property
    def slices(self) -> Path:
        """Folder of RGB images and masks in Pytorch-UNet's layout: imgs, masks, test; slices of volumes."""
        return self.folder / "pytorch_unet"

    def image(self, name: str, folder: str = "imagesTr") -> Path:
        """Path of an image in nnU-Net's layout."""
        return self.raw / folder / f"{name}_0000{self.data_set.suffix}"

    def mask(self, name: str) -> Path:
        """Path of a mask in nnU-Net's layout."""
        return self.raw / "labelsTr" / f"{name}{self.data_set.suffix}"


def data_of(data_set: DataSet) -> DataModule:
    """Build the data module of a set, without reading a case."""
    return build_data(plain(compose(list(data_set.overrides))))


def prepare(data_set: DataSet, folder: Path, most: int | None = None) -> Layouts:
    """Write a set in all layouts; one that is there is left as it is.

    Args:
        data_set: The set.
        folder: Folder of the set.
        most: Number of cases that each split keeps at most, for a trial; None = all.

    Raises:
        ValueError: It is there with another number of cases.
    """
    layouts = Layouts(folder, data_set)
    done = folder / "prepared.json"
    if done.is_file():
        if json.loads(done.read_text())["most"] != most:
            raise ValueError(f"{done} tells of another number of cases than --cases={most}: give another --folder")
        return layouts
    data = data_of(data_set)
    split = make_split(data.source.entries(), data.split_settings)
    split = Split(*(getattr(split, name)[:most] for name in ("train", "val", "test")))
    for place in ("imagesTr", "labelsTr", "imagesTs"):
        (layouts.raw / place).mkdir(parents=True, exist_ok=True)
    for place in (layouts.test, *(layouts.slices / name for name in ("imgs", "masks", "test"))):
        place.mkdir(parents=True, exist_ok=True)
    layouts.lists.write_text(json.dumps(asdict(split)))
    for name in (*split.train, *split.val):
        write_learned(layouts, data.source.read(name))
    for name in split.test:
        write_tested(layouts, data.source.read(name))
    write_descriptions(layouts, split)
    done.write_text(json.dumps({"most": most}))
    return layouts


def write_learned(layouts: Layouts, case: Case) -> None:
    """Write image and mask of a case that may be learned from. What is not labeled is background, as users have it."""
    assert case.target is not None
    write(layouts.image(case.name), case.image, case.affine)
    write(layouts.mask(case.name), case.target[None], case.affine)
    for name, image in rgb_images(case.name, case.image):
        write(layouts.slices / "imgs" / f"{name}.png", image)
    for name, mask in flat_masks(case.name, case.target):
        write(layouts.slices / "masks" / f"{name}.png", mask[None])


def write_tested(layouts: Layouts, case: Case) -> None:
    """Write the image of a test case; its mask is read by the scores alone."""
    image = layouts.image(case.name, "imagesTs")
    write(image, case.image, case.affine)
    link(layouts.test / f"{case.name}{layouts.data_set.suffix}", image)
    for name, flat in rgb_images(case.name, case.image):
        write(layouts.slices / "test" / f"{name}.png", flat)


def write_descriptions(layouts: Layouts, split: Split) -> None:
    """Write nnU-Net's description of the set and MONAI's lists of files."""
    data_set = layouts.data_set
    description = {
        "channel_names": dict(enumerate(data_set.channel_names)),
        "labels": {name: label for label, name in enumerate(data_set.class_names)},
        "numTraining": len(split.train) + len(split.val),
        "file_ending": data_set.suffix,
    }
    (layouts.raw / "dataset.json").write_text(json.dumps(description))
    learned = {
        part: [{"image": str(layouts.image(name)), "label": str(layouts.mask(name))} for name in getattr(split, part)]
        for part in ("train", "val")
    }
    tested = [{"image": str(layouts.image(name, "imagesTs")), "name": name} for name in split.test]
    facts = {"volumes": data_set.volumes, "classes": len(data_set.class_names), "suffix": data_set.suffix}
    layouts.monai.write_text(json.dumps({**facts, **learned, "test": tested}))


def write(path: Path, pixels: np.ndarray, affine: np.ndarray | None = None) -> None:
    """Write an image (C, *S) of one or three channels as NIfTI or PNG, by the suffix."""
    if path.suffix == ".gz":
        nib.save(nib.Nifti1Image(pixels[0].T, affine), path)  # axes (D, H, W) here, (x, y, z) there
    else:
        Image.fromarray(
            np.squeeze(np.moveaxis(pixels, 0, -1), -1) if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
        ).save(path)


def read_labels(path: Path) -> np.ndarray:
    """Read a mask that a method wrote: labels (*S) in the axes of a case."""
    if path.suffix == ".gz":
        return np.asarray(nib.load(path).dataobj).T
    return np.asarray(Image.open(path))


def rgb_images(name: str, image: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Give the RGB images (3, H, W) uint8 of an image (C, *S) with their names: itself, or the slices of a volume."""
    if image.ndim == 3:
        return [(name, image)]
    low, high = np.percentile(image, (0.5, 99.5))
    gray = np.clip((image[0] - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    return [(f"{name}_{depth:03d}", np.stack([flat] * 3)) for depth, flat in enumerate(gray)]


def flat_masks(name: str, target: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Give the masks (H, W) of a target (*S) with their names: itself, or the slices of a volume."""
    if target.ndim == 2:
        return [(name, target)]
    return [(f"{name}_{depth:03d}", flat) for depth, flat in enumerate(target)]


def link(path: Path, target: Path) -> None:
    """Make a relative link; one that is there is kept."""
    if not path.is_symlink():
        path.symlink_to(os.path.relpath(target, path.parent))


def truths(data_set: DataSet, names: tuple[str, ...]) -> list[Case]:
    """Read the test cases with what counts of their masks and their numbered objects."""
    data = data_of(data_set)
    return [unlabeled_outside(data.source.read(name)) for name in names]
