"""Decathlon and nnU-Net layouts written by nibabel, refusals, and real hippocampi where SEGEXP_DATA_DIR is set."""

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segexp.config import compose, plain
from segexp.data.sources import Decathlon, NnUNetRaw
from segexp.data.sources.msd import dataset_fact
from tests.data.sources import names

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


def test_nnunet_stacks_the_channels_and_ignores_what_it_calls_so(nnunet):
    source = NnUNetRaw(nnunet())
    assert names(source) == ["a", "b"]
    case = source.read("b")
    turned = LABELS[::-1, ::-1].T
    np.testing.assert_array_equal(case.image, [turned, turned + 10])
    np.testing.assert_array_equal(case.target, np.array([0, 1, 255], np.uint8)[turned])
    assert [file.name for file in source.entries()[1].files] == ["b_0000.nii.gz", "b_0001.nii.gz", "b.nii.gz"]


def test_nnunet_channels_and_labels_that_lack(nnunet):
    root = nnunet()
    (root / "imagesTr" / "a_0001.nii.gz").unlink()
    (root / "imagesTr" / "b_0000.nii.gz").unlink()
    (root / "labelsTr" / "b.nii.gz").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"imagesTr/a_0001\.nii\.gz, imagesTr/b_0000\.nii\.gz, labelsTr/b\.nii\.gz"
    ):
        NnUNetRaw(root).prepare()


def test_nnunet_labels_without_any_image(nnunet):
    root = nnunet()
    put(root / "labelsTr" / "z.nii.gz", LABELS)
    with pytest.raises(FileNotFoundError, match=r"imagesTr/z_0000\.nii\.gz, imagesTr/z_0001\.nii\.gz"):
        NnUNetRaw(root).prepare()


def test_nnunet_channels_elsewhere_are_refused(nnunet):
    root = nnunet()
    put(root / "imagesTr" / "a_0001.nii.gz", LABELS, LPS @ np.diag([1, 1, 2, 1]))
    with pytest.raises(ValueError, match=r"a_0000\.nii\.gz and .*a_0001\.nii\.gz lie up to"):
        NnUNetRaw(root).read("a")


def test_nnunet_names_and_endings(nnunet):
    with pytest.raises(ValueError, match=r"imagesTr has a_0001, b_0001, but dataset\.json has 1 channels"):
        NnUNetRaw(nnunet(channel_names={"0": "A"})).prepare()
    with pytest.raises(FileNotFoundError, match=r"imagesTr has no files that end with \.nrrd"):
        NnUNetRaw(nnunet(file_ending=".nrrd")).prepare()
    with pytest.raises(ValueError, match=r'dataset\.json has no "file_ending"'):
        NnUNetRaw(nnunet(file_ending=None)).prepare()
    root = nnunet()
    put(root / "imagesTr" / "c.nii.gz", LABELS)
    with pytest.raises(ValueError, match=r"imagesTr has c, but .* names must end with _0000 to _0001"):
        NnUNetRaw(root).prepare()


def test_facts_of_both_layouts(msd, nnunet):
    root = msd()
    assert [dataset_fact(root, fact) for fact in ("channels", "num_classes")] == [2, 3]
    assert dataset_fact(root, "class_names") == ["background", "PZ", "TZ"]
    root = nnunet()
    assert [dataset_fact(root, fact) for fact in ("channels", "num_classes")] == [2, 2]
    assert dataset_fact(root, "class_names") == ["background", "cord"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"background": 0, "whole": [1, 2]}, r"gives 'whole' the region \[1, 2\]: .*set data\.labels\.regions"),
        ({"0": "background", "2": "tumor"}, r"labels 0, 2 in .*dataset\.json are not 0, 1, 2, …: give data\.source"),
        ({"background": 0, "air": 0}, r"has 'air': 0 among its labels: each needs a name and a number of its own"),
        ({"background": "zero"}, r"has 'background': 'zero' among its labels"),
        ({}, 'has no "labels" such as'),
        (None, 'has no "labels" such as'),
    ],
)
def test_labels_that_cannot_be_used(nnunet, labels, message):
    with pytest.raises(ValueError, match=message):
        dataset_fact(nnunet(labels=labels), "num_classes")


def test_facts_that_lack(nnunet):
    with pytest.raises(ValueError, match='has neither "modality" nor "channel_names"'):
        dataset_fact(nnunet(channel_names=None), "channels")
    with pytest.raises(ValueError, match="fact='chanels' is not one of .*did you mean 'channels'"):
        dataset_fact(nnunet(), "chanels")


@pytest.mark.parametrize("option", ["msd", "nnunet"])
def test_facts_reach_the_configuration(option, nnunet):
    root = nnunet()
    config = plain(compose([f"data={option}", f"data.source.root={root}", "name=test"], run_dir="unused"))
    assert (config["data"]["channels"], config["data"]["labels"]["num_classes"]) == (2, 2)
    assert config["data"]["labels"]["class_names"] == ["background", "cord"]
    assert (config["model"]["in_channels"], config["model"]["num_classes"]) == (2, 2)


def test_a_root_without_dataset_json_is_named(tmp_path):
    cfg = compose(["data=msd", f"data.source.root={tmp_path}", "name=test"], run_dir="unused")
    with pytest.raises(Exception, match=r"dataset\.json is not there: set data\.source\.root to the folder"):
        plain(cfg)


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
