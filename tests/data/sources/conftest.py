"""Data sets that a dataset.json describes, as the Decathlon and nnU-Net lay them out."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

LPS = np.diag([-1.0, -1.0, 2.0, 1.0])
LABELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 3


def put(path: Path, values: np.ndarray, affine: np.ndarray = LPS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)


@pytest.fixture
def msd(tmp_path):
    """Write a task with cases b_1 and a_2; change what dataset.json says of it by keywords."""

    def write(**changes) -> Path:
        pairs = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in ("b_1", "a_2")]
        content = {
            "modality": {"0": "T2", "1": "ADC"},
            "labels": {"0": "background", "1": "PZ", "2": "TZ"},
            "tensorImageSize": "4D",
            "training": pairs,
            "test": ["./imagesTs/c.nii.gz"],
        }
        (tmp_path / "dataset.json").write_text(json.dumps(content | changes))
        return tmp_path

    for index, name in enumerate(("b_1", "a_2")):
        put(tmp_path / "imagesTr" / f"{name}.nii.gz", np.stack([LABELS + index, LABELS * 2], -1).astype(np.float32))
        put(tmp_path / "labelsTr" / f"{name}.nii.gz", LABELS.astype(np.float32))
    return write


@pytest.fixture
def nnunet(tmp_path):
    """Write a data set with channels A and B, cases b and a; change dataset.json by keywords."""

    def write(**changes) -> Path:
        content = {
            "channel_names": {"0": "A", "1": "B"},
            "labels": {"background": 0, "cord": 1, "ignore": 2},
            "numTraining": 2,
            "file_ending": ".nii.gz",
        }
        (tmp_path / "dataset.json").write_text(json.dumps(content | changes))
        return tmp_path

    for name in "ba":
        for channel in range(2):
            put(tmp_path / "imagesTr" / f"{name}_000{channel}.nii.gz", LABELS + 10 * channel)
        put(tmp_path / "labelsTr" / f"{name}.nii.gz", LABELS)
    (tmp_path / "imagesTr" / "._a_0000.nii.gz").write_bytes(b"\0\5\x16\7")
    return write
