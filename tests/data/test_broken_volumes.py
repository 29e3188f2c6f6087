"""Broken volumes and descriptions of data sets: each gets a sentence that names file, value and remedy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from segexp.data.sources import Decathlon, Folder, NnUNetRaw
from tests.data.files.test_volumes import same_locale, save_dicom
from tests.data.test_broken_inputs import cut, started

__all__ = ["same_locale"]  # a fixture

SIZE = (12, 14, 10)
LABELS = np.zeros(SIZE, np.uint8)
LABELS[2:6, 2:6, 2:6], LABELS[7:10, 7:10, 2:6] = 1, 2


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> None:
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)


def noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(100, 20, SIZE).astype(np.float32)


@pytest.fixture
def root(tmp_path) -> Path:
    """Make five labeled volumes v0 to v4 with a dataset.json, as the Decathlon has them."""
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
    for i in range(5):
        save(tmp_path / "imagesTr" / f"v{i}.nii.gz", noise(i))
        save(tmp_path / "labelsTr" / f"v{i}.nii.gz", LABELS)
    listed = [{"image": f"./imagesTr/v{i}.nii.gz", "label": f"./labelsTr/v{i}.nii.gz"} for i in range(5)]
    content = {"modality": {"0": "MRI"}, "labels": {"0": "ground", "1": "front", "2": "back"}, "training": listed}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    return tmp_path


def volumes(source: Any, **changes: Any) -> Any:
    settings = {
        "spatial_dims": 3,
        "patch_size": [8, 8, 8],
        "num_classes": 3,
        "class_names": ["ground", "front", "back"],
    }
    return started(source, **(settings | changes))


def image(root: Path) -> Path:
    return root / "imagesTr" / "v3.nii.gz"


def label(root: Path) -> Path:
    return root / "labelsTr" / "v3.nii.gz"


def with_nan(root: Path) -> None:
    values = noise(3)
    values[0] = np.nan
    save(image(root), values)


def flat_affine(root: Path) -> None:
    """Write an affine without inverse into the header itself: nibabel would refuse to save it."""
    path = root / "imagesTr" / "v3.nii"
    save(path, noise(3))
    content = bytearray(path.read_bytes())
    content[312:328] = bytes(16)  # srow_z
    path.write_bytes(content)
    edit(root, lambda d: d["training"][3].update(image="./imagesTr/v3.nii"))


def edit(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((root / "dataset.json").read_text())
    change(content)
    (root / "dataset.json").write_text(json.dumps(content))


def labels_with(value: float) -> np.ndarray:
    labels = LABELS.astype(np.float32)
    labels[0, 0, 0] = value
    return labels


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated volume": (lambda f: cut(image(f)), r"v3\.nii\.gz cannot be read \(.+\): check that it is complete"),
    "empty file": (
        lambda f: image(f).write_bytes(b""),
        r"v3\.nii\.gz cannot be read \(.+\): check that it is complete",
    ),
    "no gzip": (
        lambda f: image(f).write_text("hello"),
        r"v3\.nii\.gz cannot be read \(.+\): check that it is complete",
    ),
    "NaN": (with_nan, r"case v3 \(.*v3\.nii\.gz\) has 140 of 1680 values that are NaN or infinite: put numbers"),
    "labels elsewhere": (
        lambda f: save(label(f), LABELS, np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * 5),
        r"imagesTr/v3\.nii\.gz and .*labelsTr/v3\.nii\.gz lie up to 5 mm apart .*: resample one of them",
    ),
    "labels of other voxels": (
        lambda f: save(label(f), LABELS, np.diag([1.0, 1, 2, 1])),
        r"lie up to 9 mm apart \(affines differ; a tenth of a voxel, 0\.1 mm, is allowed\)",
    ),
    "labels of another shape": (
        lambda f: save(label(f), LABELS[:, :9]),
        r"v3\.nii\.gz has 10×14×12 voxels \(D×H×W\), but .*labelsTr/v3\.nii\.gz has 10×9×12: resample",
    ),
    "affine without inverse": (flat_affine, r"v3\.nii has an affine without inverse, .*: fix the orientation in"),
    "class 7 of 3": (
        lambda f: save(label(f), labels_with(7)),
        r"labelsTr/v3\.nii\.gz has values without a class: 7 \(declared are 0, 1, 2\): declare a class",
    ),
    "fractions in labels": (
        lambda f: save(label(f), labels_with(0.5)),
        r"mask .*v3\.nii\.gz holds fractions \(0\.5\): save class numbers as integers",
    ),
    "labels with channels": (
        lambda f: save(label(f), np.stack([LABELS, LABELS], axis=-1)),
        r"mask .*v3\.nii\.gz has 2 channels: save class numbers in one",
    ),
    "one image of two channels": (
        lambda f: save(image(f), np.stack([noise(3), noise(4)], axis=-1)),
        r"case v3 \(.*v3\.nii\.gz\) has shape \(2, 10, 14, 12\) .* data\.channels=1 .*time series one by one",
    ),
    "image without depth": (
        lambda f: save(image(f), noise(3)[:, :, 0]),
        r"v3\.nii\.gz has 2 axes \(12×14\), not 3, or 4 with channels: save one image as PNG or TIFF",
    ),
    "dataset.json missing": (
        lambda f: (f / "dataset.json").unlink(),
        r"dataset\.json is not there: set data\.source\.root to the folder that holds dataset\.json",
    ),
    "dataset.json cut": (
        lambda f: cut(f / "dataset.json"),
        r"dataset\.json is no JSON \(.+\): fix it, or get it again",
    ),
    "dataset.json without training": (
        lambda f: edit(f, lambda d: d.pop("training")),
        r'dataset\.json must list {"image": \.\., "label": \.\.} under "training": fix it',
    ),
    "dataset.json without labels": (
        lambda f: edit(f, lambda d: d.pop("labels")),
        r'dataset\.json has no "labels" such as .*: add them',
    ),
    "listed files that are not there": (
        lambda f: (image(f).unlink(), label(f).unlink()),
        r"is incomplete, missing are imagesTr/v3\.nii\.gz, labelsTr/v3\.nii\.gz: get the whole data set",
    ),
    "case listed twice": (
        lambda f: edit(f, lambda d: d["training"].append(d["training"][0])),
        r"dataset\.json lists v0 more than once: leave one of each",
    ),
    "equal volumes in train and test": (
        lambda f: save(f / "imagesTr" / "v4.nii.gz", noise(0)),
        r"equal images lie in two splits \(v0 \(train\) = v4 \(test\)\)",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_decathlon(what, root):
    breaks, words = BROKEN[what]
    volumes(Decathlon(root))
    breaks(root)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        volumes(Decathlon(root))


def nnunet(root: Path) -> None:
    """Lay the same volumes out as nnU-Net has them, with two channels."""
    for i in range(5):
        path = root / "imagesTr" / f"v{i}.nii.gz"
        path.rename(path.with_name(f"v{i}_0000.nii.gz"))
        save(path.with_name(f"v{i}_0001.nii.gz"), noise(i + 5))
    labels = {"ground": 0, "front": 1, "back": 2}
    content = {"channel_names": {"0": "T1", "1": "T2"}, "labels": labels, "numTraining": 5, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(content))


NNUNET: dict[str, tuple[Callable[[Path], Any], str]] = {
    "channel missing": (
        lambda f: (f / "imagesTr" / "v1_0001.nii.gz").unlink(),
        r"is incomplete, missing are imagesTr/v1_0001\.nii\.gz: get the whole data set",
    ),
    "one channel too many": (
        lambda f: save(f / "imagesTr" / "v1_0002.nii.gz", noise(0)),
        r"has v1_0002, but dataset\.json has 2 channels: names must end with _0000 to _0001",
    ),
    "channels of unlike geometry": (
        lambda f: save(f / "imagesTr" / "v1_0001.nii.gz", noise(6), np.diag([1.0, 1, 3, 1])),
        r"v1_0000\.nii\.gz and .*v1_0001\.nii\.gz lie up to 18 mm apart",
    ),
    "no file ending": (
        lambda f: edit(f, lambda d: d.pop("file_ending")),
        r'dataset\.json has no "file_ending" such as "\.nii\.gz": add it',
    ),
}


@pytest.mark.parametrize("what", NNUNET)
def test_nnunet(what, root):
    breaks, words = NNUNET[what]
    nnunet(root)
    volumes(NnUNetRaw(root), channels=2)
    breaks(root)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        volumes(NnUNetRaw(root), channels=2)


@pytest.fixture
def series(root) -> Folder:
    """Replace image v2 by a folder with its DICOM series."""
    (root / "imagesTr" / "v2.nii.gz").unlink()
    save_dicom(root / "imagesTr" / "v2", noise(2).astype(np.int16), np.eye(4))
    return Folder(root / "imagesTr", root / "labelsTr", values={0: 0, 1: 1, 2: 2})


def test_dicom_folder_among_other_volumes(series):
    assert len(volumes(series).cases("train")) == 3


def test_dicom_folder_with_two_series(series, root):
    save_dicom(root / "imagesTr" / "v2", noise(2).astype(np.int16), np.eye(4), series="1.2.10")
    with pytest.raises(ValueError, match=r"v2 has 2 DICOM series where one is expected: .*: give each series a folder"):
        volumes(series)


def test_dicom_folder_that_is_empty_or_lacks_a_slice(series, root):
    files = sorted((root / "imagesTr" / "v2").iterdir())
    files[4].unlink()
    with pytest.raises(ValueError, match=r"v2"):
        volumes(Folder(root / "imagesTr", root / "labelsTr", values={0: 0, 1: 1, 2: 2}))
    for path in (root / "imagesTr" / "v2").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"images missing in .*imagesTr for the masks of v2: add them"):
        volumes(Folder(root / "imagesTr", root / "labelsTr", values={0: 0, 1: 1, 2: 2}))
