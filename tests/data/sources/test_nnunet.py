"""nnU-Net's raw layout: channels, endings, 2-D images, both versions, and refusals."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segexp.build import build_data
from segexp.config import compose, plain
from segexp.data.sources import Decathlon, NnUNetRaw, left_out
from tests.data.sources import names
from tests.data.sources.conftest import LABELS, LPS, put


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


def put_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def road(nnunet, tmp_path):
    """Make RGB images in one file each, as nnU-Net's example of roads has them."""
    shutil.rmtree(tmp_path / "imagesTr")
    shutil.rmtree(tmp_path / "labelsTr")
    for number in (1, 2):
        put_picture(tmp_path / "imagesTr" / f"img-{number}_0000.png", np.full((6, 8, 3), (10, 20, 30 * number)))
        put_picture(tmp_path / "labelsTr" / f"img-{number}.png", np.eye(6, 8))
    names = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0, "road": 1}}
    return nnunet(**names, file_ending=".png")


def test_an_rgb_image_is_one_file_of_three_channels(road):
    source = NnUNetRaw(road)
    source.prepare()
    assert names(source) == ["img-1", "img-2"]
    case = source.read("img-2")
    assert case.image[:, 0, 0].tolist() == [10, 20, 60]
    np.testing.assert_array_equal(case.target, np.eye(6, 8))
    assert [file.name for file in source.entries()[0].files] == ["img-1_0000.png", "img-1.png"]


def test_gray_images_are_one_file_per_channel(road, nnunet):
    for number in (1, 2):
        for channel in (0, 1):
            put_picture(road / "imagesTr" / f"img-{number}_000{channel}.png", np.full((6, 8), channel))
    nnunet(labels={"background": 0, "road": 1}, file_ending=".png")
    assert NnUNetRaw(road).read("img-1").image[:, 0, 0].tolist() == [0, 1]
    (road / "imagesTr" / "img-2_0001.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"is incomplete, missing are imagesTr/img-2_0001\.png"):
        NnUNetRaw(road).prepare()


def test_2d_images_train_by_name_and_are_told_where_volumes_are_expected(road):
    def data(option: str):
        words = [f"data={option}", f"data.source.root={road}", "name=test", "data.cache.folder=null"]
        return build_data(plain(compose([*words, "data.split.test=0", "data.split.val=0.5"], run_dir="unused")))

    flat = data("nnunet_2d")
    flat.setup()
    assert len(flat.split.train) == 1
    with pytest.raises(ValueError, match=r"img-1 .*shape \(3, 6, 8\).*spatial_dims=3.*2-D image.*data=nnunet_2d"):
        data("nnunet").setup()


def test_another_ending_than_dataset_json_tells_says_what_is_there(nnunet):
    with pytest.raises(FileNotFoundError, match=r"imagesTr has no files that end with \.png, .*; it has 4 \.nii\.gz"):
        NnUNetRaw(nnunet(file_ending=".png")).prepare()


def test_the_first_version_has_modalities_and_no_ending(nnunet):
    content = json.loads((nnunet() / "dataset.json").read_text())
    content["modality"] = content.pop("channel_names")
    del content["file_ending"]
    root = nnunet()
    (root / "dataset.json").write_text(json.dumps(content))
    assert names(NnUNetRaw(root)) == ["a", "b"]
    listed = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in "ab"]
    (root / "dataset.json").write_text(json.dumps(content | {"training": listed}))
    with pytest.raises(ValueError, match=r"lists a\.nii\.gz, and .*a_0000\.nii\.gz is there: .*data=nnunet reads"):
        Decathlon(root).prepare()


def test_files_that_dataset_json_lists_are_taken(nnunet):
    files = {"images": ["imagesTr/a_0001.nii.gz", "imagesTr/b_0000.nii.gz"], "label": "labelsTr/a.nii.gz"}
    source = NnUNetRaw(nnunet(dataset={"mixed": files}))
    assert names(source) == ["mixed"]
    assert [path.name for path in source.read("mixed").files] == ["a_0001.nii.gz", "b_0000.nii.gz", "a.nii.gz"]
    with pytest.raises(ValueError, match=r"has 'mixed': .* under \"dataset\": it must be"):
        NnUNetRaw(nnunet(dataset={"mixed": ["a", "b"]})).prepare()


def test_what_belongs_to_no_case_is_left_out(nnunet):
    root = nnunet()
    (root / "labelsTr" / "notes.txt").write_text("")
    assert left_out(NnUNetRaw(root)) == {
        "hidden": ("imagesTr/._a_0000.nii.gz",), "no end .nii.gz of a case": ("labelsTr/notes.txt",)
    }  # fmt: skip


def test_cases_that_are_held_out(nnunet):
    root = nnunet()
    for channel in range(2):
        put(root / "imagesTs" / f"z_000{channel}.nii.gz", LABELS)
    with pytest.raises(FileNotFoundError, match="labelsTs has no files that end with"):
        NnUNetRaw(root, cases="Ts").prepare()
    put(root / "labelsTs" / "z.nii.gz", LABELS)
    (root / "labelsTs" / "notes.txt").write_text("")
    source = NnUNetRaw(root, cases="Ts")
    assert (names(source), names(NnUNetRaw(root))) == (["z"], ["a", "b"])
    assert left_out(source) == {"no end .nii.gz of a case": ("labelsTs/notes.txt",)}
    with pytest.raises(ValueError, match=r"data.source.cases='Va' is not one of \['Tr', 'Ts'\]"):
        NnUNetRaw(root, cases="Va")
