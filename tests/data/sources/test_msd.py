"""A task of the Decathlon written by nibabel, refusals, and real hippocampi where SEGEXP_DATA_DIR is set."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segexp.config import compose, plain
from segexp.data.sources import Decathlon
from segexp.data.sources.dataset_json import dataset_fact
from tests.data.sources import names
from tests.data.sources.conftest import LABELS, put


def test_decathlon_reads_modalities_from_the_last_axis_and_turns_to_ras(msd):
    source = Decathlon(msd())
    source.prepare()
    assert names(source) == ["a_2", "b_1"]
    case = source.read("a_2")
    turned = LABELS[::-1, ::-1].T
    np.testing.assert_array_equal(case.image, [turned + 1, turned * 2])
    np.testing.assert_array_equal(case.target, turned)
    assert case.target.dtype == np.uint8
    assert (case.spacing, case.spacing_unit, case.orientation) == ((2.0, 1.0, 1.0), "mm", "LPS")
    np.testing.assert_array_equal(case.affine, [[1, 0, 0, -1], [0, 1, 0, -2], [0, 0, 2, 0], [0, 0, 0, 1]])
    assert case.facts == {"image_dtype": "float32", "mask_dtype": "float32", "mask_values": {0: 8, 1: 8, 2: 8}}
    assert source.entries()[0].files == case.files
    with pytest.raises(ValueError, match=r"has no case 'a_3' \(did you mean 'a_2'\?\)"):
        source.read("a_3")


def test_values_merge_and_ignore(msd):
    case = Decathlon(msd(), values={0: 0, 1: 1, 2: 255}).read("b_1")
    np.testing.assert_array_equal(case.target, np.array([0, 1, 255], np.uint8)[LABELS[::-1, ::-1].T])
    with pytest.raises(ValueError, match=r"b_1\.nii\.gz has values without a class: 2 \(declared are 0, 1\)"):
        Decathlon(msd(), values={0: 0, 1: 1}).read("b_1")
    with pytest.raises(ValueError, match=r"a class from 0 to 255"):
        Decathlon(msd(), values={0: 256})


def test_missing_files_are_named(msd):
    root = msd()
    (root / "imagesTr" / "b_1.nii.gz").unlink()
    (root / "labelsTr" / "a_2.nii.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"missing are labelsTr/a_2\.nii\.gz, imagesTr/b_1\.nii\.gz: get"):
        Decathlon(root).prepare()


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([{"image": "i/a.nii", "label": "l/a.nii"}, {"image": "j/a.nii.gz", "label": "l/b.nii"}], "a more than once"),
        ([{"image": "i/._a.nii", "label": "l/a.nii"}], r"lists \._a\.nii, left behind by macOS"),
        (["i/a.nii"], 'must list {"image": .., "label": ..} under "training"'),
        ([{"image": "i/a.nii"}], "must list"),
        (None, "must list"),
    ],
)
def test_lists_that_cannot_be_used(msd, listed, message):
    with pytest.raises(ValueError, match=message):
        Decathlon(msd(training=listed)).prepare()


@pytest.mark.parametrize(
    ("text", "message"), [("{", r"dataset\.json is no JSON \(.*\): fix it"), ("[]", "holds no JSON object")]
)
def test_broken_json(tmp_path, text, message):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        Decathlon(tmp_path).prepare()


def test_labels_elsewhere_than_the_image_are_refused(msd):
    root = msd()
    put(root / "labelsTr" / "a_2.nii.gz", LABELS, np.eye(4))
    with pytest.raises(ValueError, match=r"imagesTr/a_2\.nii\.gz and .*labelsTr/a_2\.nii\.gz lie up to .* mm apart"):
        Decathlon(root).read("a_2")


def test_the_real_hippocampi():
    folder = os.environ.get("SEGEXP_DATA_DIR")
    root = Path(folder or "", "Task04_Hippocampus")
    if not folder or not root.is_dir():
        pytest.skip("SEGEXP_DATA_DIR has no Task04_Hippocampus")
    source = Decathlon(root)
    entries = source.entries()
    assert (len(entries), entries[0].name, entries[-1].name) == (260, "hippocampus_001", "hippocampus_394")
    for name in ("hippocampus_001", "hippocampus_003", "hippocampus_243"):
        case = source.read(name)
        truth = nib.load(root / "labelsTr" / f"{name}.nii.gz")
        np.testing.assert_array_equal(case.target, truth.get_fdata().T)
        assert (case.orientation, case.spacing, set(case.facts["mask_values"])) == ("RAS", (1.0,) * 3, {0, 1, 2})
    assert case.facts["mask_dtype"] == "float32"
    config = plain(compose(["data=hippocampus", "model=unet_3d", "name=test"], run_dir="unused"))
    assert config["data"]["labels"]["num_classes"] == dataset_fact(root, "num_classes")
    assert config["data"]["labels"]["class_names"] == [name.lower() for name in dataset_fact(root, "class_names")]
