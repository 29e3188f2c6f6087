"""Folders of images and masks: pairing, values, and what is refused."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from segexp.data.sources import Folder
from tests.data.sources import names


@pytest.fixture
def put(tmp_path):
    """Save an array under tmp_path/<where>."""

    def put(where: str, pixels: np.ndarray) -> None:
        path = tmp_path / where
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)

    return put


@pytest.fixture
def source(tmp_path):
    """Return the Folder of tmp_path/images and tmp_path/masks."""
    return lambda **options: Folder(tmp_path / "images", tmp_path / "masks", **options)


def gray(value: int, size: tuple[int, int] = (4, 5)) -> np.ndarray:
    return np.full(size, value, dtype=np.uint8)


def test_pairs_by_stem_in_natural_order_whatever_the_type(put, source, tmp_path):
    for index, (image, mask) in enumerate([("a10.png", "a10.TIF"), ("a2.JPG", "a2.bmp"), ("b1.tiff", "b1.png")]):
        put(f"images/{image}", gray(10 * index))
        put(f"masks/{mask}", gray(255))
    for name in ["notes.txt", "Thumbs.db", ".hidden.png", "._a2.png"]:
        (tmp_path / "images" / name).write_text("no image")
    folder = source()
    folder.prepare()
    assert names(folder) == ["a2", "a10", "b1"]
    case = folder.read("b1")
    np.testing.assert_array_equal(case.image, gray(20)[None])
    np.testing.assert_array_equal(case.target, gray(1))
    assert case.target.dtype == np.uint8
    assert [path.name for path in case.files] == ["b1.tiff", "b1.png"]
    assert (case.spacing, case.spacing_unit) == ((1.0, 1.0), "px")
    assert case.facts == {
        **{"image_dtype": "uint8", "mask_dtype": "uint8", "mask_values": {255: 20}},
        "image_stored": {"format": "TIFF", "bits": 8, "axes": "YX"},
        "mask_stored": {"format": "PNG", "bits": 8, "axes": "YX"},
    }


def test_volumes_and_dicom_series_are_cases_beside_other_subfolders(put, source, tmp_path):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for kind in ("images", "masks"):
        (tmp_path / kind / "drafts").mkdir(parents=True)
        nib.save(nib.Nifti1Image(values % 2, np.diag([1.0, 2, 3, 1])), tmp_path / kind / "b.1.nii.gz")
    put("images/a.png", gray(1))
    put("masks/a.png", gray(0))
    (tmp_path / "images" / "c").mkdir()
    page = sitk.GetImageFromArray(values[:1])
    page.SetMetaData("0008|0060", "MR")
    sitk.WriteImage(page, str(tmp_path / "images" / "c" / "only.dcm"))
    mask = sitk.GetImageFromArray((values[:1] > 5).astype(np.uint8))
    sitk.WriteImage(mask, str(tmp_path / "masks" / "c.nrrd"))
    folder = source(values={0: 0, 1: 255})
    assert names(folder) == ["a", "b.1", "c"]
    assert [path.name for path in folder.entries()[2].files] == ["only.dcm", "c.nrrd"]
    volume = folder.read("b.1")
    np.testing.assert_array_equal(volume.image[0], (values % 2).T)
    np.testing.assert_array_equal(volume.target, np.where(values % 2, 255, 0).T)
    assert (volume.spacing, volume.spacing_unit, volume.orientation) == ((3.0, 2.0, 1.0), "mm", "RAS")
    assert volume.facts["mask_values"] == {0: 12, 1: 12}
    np.testing.assert_array_equal(folder.read("c").target == 255, folder.read("c").image[0] > 5)
    with pytest.raises(ValueError, match=r"spacing is for 2-D images, and .*b\.1\.nii\.gz has its own: leave spacing"):
        source(spacing=[1.0, 1.0]).read("b.1")


def test_a_flat_mask_of_a_volume_is_refused(put, source, tmp_path):
    put("masks/a.png", gray(0))
    (tmp_path / "images").mkdir()
    nib.save(nib.Nifti1Image(np.zeros((5, 4, 1), np.uint8), np.eye(4)), tmp_path / "images" / "a.nii")
    with pytest.raises(ValueError, match=r"images/a\.nii is a volume, and .*masks/a\.png is none: all files"):
        source().read("a")


def test_dots_and_digits_in_names(put, source):
    for stem in ["p1.10", "p1.9", "2", "10", "01", "1", "x²", "٣"]:
        put(f"images/{stem}.png", gray(0))
        put(f"masks/{stem}.png", gray(0))
    assert names(source()) == ["01", "1", "2", "10", "p1.9", "p1.10", "x²", "٣"]


def test_values_channels_and_spacing(put, source):
    put("images/a.png", np.dstack([gray(1), gray(2), gray(3)]))
    put("masks/a.png", np.array([[0, 7, 9, 7, 0]] * 4, dtype=np.uint8))
    case = source(values={0: 0, 7: 2, 9: 1}, channels=3, spacing=[0.5, 0.25]).read("a")
    np.testing.assert_array_equal(case.image[:, 0, 0], [1, 2, 3])
    np.testing.assert_array_equal(case.target[0], [0, 2, 1, 2, 0])
    assert (case.spacing, case.spacing_unit) == ((0.5, 0.25), "mm")


def test_jpeg_mask_needs_tolerance(put, source):
    square = np.zeros((32, 32), dtype=np.uint8)
    square[9:21, 11:25] = 255
    put("images/a.png", square)
    put("masks/a.jpg", square)
    with pytest.raises(
        ValueError, match=r"a\.jpg has values without a class: .*\(declared are 0, 255\).*tolerance \(now 0\)"
    ):
        source().read("a")
    np.testing.assert_array_equal(source(mask_tolerance=100).read("a").target, square // 255)


def test_mask_suffix_leaves_other_masks_alone(put, source):
    put("images/a.png", gray(1))
    put("masks/a_mask.png", gray(255))
    put("masks/a_border.png", gray(77))
    assert names(source(mask_suffix="_mask")) == ["a"]
    assert source(mask_suffix="_mask").read("a").target.min() == 1


def test_one_folder_for_both(put, tmp_path):
    for stem in "ab":
        put(f"images/{stem}.png", gray(3))
        put(f"images/{stem}_seg.png", gray(255))
    folder = Folder(tmp_path / "images", tmp_path / "images", mask_suffix="_seg")
    assert names(folder) == ["a", "b"]
    assert folder.read("a").image.max() == 3
    with pytest.raises(ValueError, match="are the same folder: set mask_suffix"):
        Folder(tmp_path / "images", tmp_path / "images")


def test_missing_masks_are_listed_and_counted(put, source):
    put("masks/a1_m.png", gray(0))
    for index in range(1, 15):
        put(f"images/a{index}.png", gray(0))
    message = r"masks missing in .*masks: a2_m, a3_m, a4_m, .*a10_m, a11_m and 3 more: add them, or set mask_suffix"
    with pytest.raises(ValueError, match=message):
        source(mask_suffix="_m").prepare()


def test_missing_images_are_listed(put, source):
    put("images/a.png", gray(0))
    put("masks/a.png", gray(0))
    put("masks/b.png", gray(0))
    with pytest.raises(ValueError, match=r"images missing in .*images for the masks of b: add them"):
        source().prepare()


def test_two_files_of_one_stem(put, source):
    put("images/a.png", gray(0))
    put("images/a.jpg", gray(0))
    put("masks/a.png", gray(0))
    with pytest.raises(ValueError, match=r"a\.jpg and .*a\.png share the name 'a': rename or remove"):
        source().prepare()


def test_folder_missing_or_empty(put, source, tmp_path):
    with pytest.raises(FileNotFoundError, match="images is not a folder: check the path"):
        source().prepare()
    put("images/a.png", gray(0))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=r"masks has no image files: it needs \.bmp"):
        source().prepare()


def test_image_and_mask_of_different_sizes(put, source):
    put("images/a.png", gray(0))
    put("masks/a.tif", gray(0, (5, 4)))
    with pytest.raises(ValueError, match=r"image .*a\.png is 4×5 .* mask .*a\.tif is 5×4"):
        source().read("a")


def test_unknown_case(put, source):
    put("images/left.png", gray(0))
    put("masks/left.png", gray(0))
    with pytest.raises(ValueError, match=r"images has no case 'lefd' \(did you mean 'left'\?\)"):
        source().read("lefd")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "channels=0 must be"),
        ({"mask_tolerance": -1}, "mask_tolerance=-1 must be"),
        ({"values": {}}, "values={} must give each mask value"),
        ({"values": {"0": 0}}, "must give each mask value"),
        ({"values": {0: 0, 255: 256}}, "a class from 0 to 255"),
        ({"spacing": [1.0]}, r"spacing=\[1.0\] must be two numbers above 0"),
        ({"spacing": [1.0, 0.0]}, "must be two numbers above 0"),
    ],
)
def test_arguments_out_of_range(source, options, message):
    with pytest.raises(ValueError, match=message):
        source(**options)
