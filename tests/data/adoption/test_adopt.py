"""Layouts and masks as users have them: what is written reads them as they are meant."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from segexp.data.adoption import Adopted, adopt
from segexp.data.case import Case
from segexp.data.sources import Folder, Manifest

SHAPE = (40, 48)


def blobs(seed: int, count: int = 5) -> np.ndarray:
    """Numbered squares that do not touch, but for the first two, and lie elsewhere for every seed."""
    numbers = np.zeros(SHAPE, np.uint8)
    for n in range(count):
        y, x = 2 + seed % 5 + 13 * (n // 3), 2 + 10 * (n % 3) + seed % 3
        numbers[y : y + 8, x : x + 8 + 2 * (n == 0)] = n + 1
    return numbers


def save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path, quality=80) if path.suffix == ".jpg" else Image.fromarray(array).save(path)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, SHAPE, dtype=np.uint8)


def binary(seed: int) -> np.ndarray:
    return np.uint8(255) * (blobs(seed) > 0)


def read(found: Adopted) -> dict[str, Case]:
    """Cases as the source of the option reads them."""
    option = yaml.safe_load(found.text)
    kind = Manifest if "manifest" in option["defaults"] else Folder
    source = kind(**option["source"], channels=option["channels"])
    cases = {entry.name: source.read(entry.name) for entry in source.entries()}
    for entry in source.entries():
        assert cases[entry.name].target.max() < option["labels"]["num_classes"] or 255 in cases[entry.name].target
    return cases


NAMES = {  # path of an image and of its mask below the folder, and the folders to give
    "same names": ("i/a{n}.png", "m/a{n}.png", "i", "m"),
    "suffix": ("i/a_{n}.png", "m/a_{n}_mask.png", "i", "m"),
    "suffixes": ("i/a{n}_DAPI.png", "m/a{n}_seg.png", "i", "m"),
    "starts": ("i/img_{n:03}.png", "m/mask_{n:03}.png", "i", "m"),
    "starts and ends": ("i/img_{n:03}_raw.png", "m/lab_{n:03}_gt.png", "i", "m"),
    "one folder, suffix": ("all/a{n}.png", "all/a{n}_mask.png", "all", None),
    "one folder, suffixes": ("all/a{n}_DAPI.png", "all/a{n}_seg.png", "all", None),
    "one folder, starts": ("all/img_{n}.png", "all/mask_{n}.png", "all", None),
    "subfolders of one": ("all/Images/a{n}.png", "all/Ground_Truth/a{n}.png", "all", None),
    "subfolders of one, suffix": ("all/images/a{n}.png", "all/labels/a{n}-labels.png", "all", None),
    "a folder a patient": ("all/p{n}/images/x.png", "all/p{n}/masks/x.png", "all", None),
    "patients below both": ("i/p{n}/x1.png", "m/p{n}/x1.png", "i", "m"),
    "numbers in brackets": ("all/benign ({n}).png", "all/benign ({n})_mask.png", "all", None),
    "a folder a case": ("all/{n}/raw.png", "all/{n}/label.png", "all", None),
    "spaces": ("my images/scan {n}.png", "my masks/scan {n}.png", "my images", "my masks"),
    "other suffix of files": ("i/a{n}.tif", "m/a{n}.png", "i", "m"),
}


@pytest.mark.parametrize("layout", NAMES)
def test_names_pair(tmp_path, layout):
    image_path, mask_path, images, masks = NAMES[layout]
    for n in range(6):
        save(image(n), tmp_path / image_path.format(n=n))
        save(binary(n), tmp_path / mask_path.format(n=n))
    cases = read(adopt(tmp_path / images, masks and tmp_path / masks, None, ""))
    assert len(cases) == 6
    for n, case in enumerate(cases.values()):
        np.testing.assert_array_equal(case.image[0], image(n))
        np.testing.assert_array_equal(case.target, binary(n) > 0)


def test_splits_in_paths_are_followed(tmp_path):
    for n, split in enumerate(("train", "train", "val", "test")):
        save(image(n), tmp_path / f"all/{split}/images/a{n}.png")
        save(binary(n), tmp_path / f"all/{split}/masks/a{n}.png")
    found = adopt(tmp_path / "all", None, None, "")
    option = yaml.safe_load(found.text)
    assert option["split"] == {"method": "prescribed"}
    assert len(read(found)) == 4


def test_one_mask_per_object_becomes_numbered_objects(tmp_path):
    for n in range(4):
        save(image(n), tmp_path / f"all/c{n}/images/c{n}.png")
        for number in range(1, 4 + n % 2):
            save(np.uint8(255) * (blobs(n) == number), tmp_path / f"all/c{n}/masks/{n}{number}.png")
    cases = read(adopt(tmp_path / "all", None, None, ""))
    assert [int(case.instances.max()) for case in cases.values()] == [3, 4, 3, 4]


def test_two_images_to_a_mask_are_channels(tmp_path):
    for n in range(4):
        for number, channel in enumerate(("DAPI", "GFP")):
            save(image(2 * n + number), tmp_path / f"i/a{n}_{channel}.png")
        save(binary(n), tmp_path / f"m/a{n}_seg.png")
    cases = read(adopt(tmp_path / "i", tmp_path / "m", None, ""))
    assert len(cases) == 4
    np.testing.assert_array_equal(cases["a1"].image, [image(2), image(3)])


def test_a_folder_a_patient_holds_its_channels(tmp_path):
    for n in range(4):
        for number, channel in enumerate(("flair", "t1")):
            save(image(2 * n + number), tmp_path / f"all/p{n}/p{n}_{channel}.png")
        save(binary(n), tmp_path / f"all/p{n}/p{n}_seg.png")
    cases = read(adopt(tmp_path / "all", None, None, ""))
    np.testing.assert_array_equal(cases["p1"].image, [image(2), image(3)])


def test_patients_in_names_stay_together(tmp_path):
    for n in range(6):
        save(image(n), tmp_path / f"i/patient{n // 2:02}_{n}_DAPI.png")
        save(binary(n), tmp_path / f"m/patient{n // 2:02}_{n}_seg.png")
    found = adopt(tmp_path / "i", tmp_path / "m", None, "")
    option = yaml.safe_load(found.text)
    source = Folder(**option["source"])
    assert [entry.group for entry in source.entries()] == [f"patient{n // 2:02}" for n in range(6)]
    assert any("3 patients" in line for line in found.found)


def test_images_without_mask_are_left_out_and_counted(tmp_path):
    for n in range(8):
        save(image(n), tmp_path / f"i/a{n}.png")
        if n < 6:
            save(binary(n), tmp_path / f"m/a{n}.png")
    found = adopt(tmp_path / "i", tmp_path / "m", None, "")
    assert yaml.safe_load(found.text)["source"]["skip_unlabeled"] is True
    assert "2 images have no mask" in found.text
    assert len(read(found)) == 6


def of_masks(folder: Path, mask, suffix: str = ".png") -> Adopted:
    """What is found of six images whose masks a function draws."""
    for n in range(6):
        save(image(n), folder / f"i/a{n}.png")
        save(mask(n), folder / f"m/a{n}{suffix}")
    return adopt(folder / "i", folder / "m", None, "")


def test_numbers_of_objects_are_told_from_classes(tmp_path):
    found = of_masks(tmp_path, lambda n: blobs(n, 4 + n % 3))
    assert yaml.safe_load(found.text)["source"]["instances"] is True
    assert [int(case.instances.max()) for case in read(found).values()] == [4, 5, 6, 4, 5, 6]


def test_classes_are_numbered_in_the_order_of_their_values(tmp_path):
    levels = np.array([0, 64, 128, 192, 64, 128], np.uint8)
    found = of_masks(tmp_path, lambda n: levels[blobs(n)])
    option = yaml.safe_load(found.text)
    assert option["labels"] == {"num_classes": 4, "class_names": ["background", "class_64", "class_128", "class_192"]}
    np.testing.assert_array_equal(read(found)["a0"].target, (levels // 64)[blobs(0)])


def test_255_beside_small_classes_is_not_labeled(tmp_path):
    levels = np.array([0, 1, 2, 255, 1, 2], np.uint8)
    found = of_masks(tmp_path, lambda n: levels[blobs(n)])
    assert yaml.safe_load(found.text)["labels"]["num_classes"] == 3
    assert "255 is taken as not labeled" in found.text
    np.testing.assert_array_equal(read(found)["a0"].target, levels[blobs(0)])


def test_without_0_the_most_frequent_value_is_background(tmp_path):
    found = of_masks(tmp_path, lambda n: (2 - (blobs(n) > 0)).astype(np.uint8))
    assert "2, the most frequent, is taken as background" in found.text
    np.testing.assert_array_equal(read(found)["a0"].target, blobs(0) > 0)


@pytest.mark.parametrize("value", [1, 128])
def test_one_value_beside_0_is_the_object(tmp_path, value):
    found = of_masks(tmp_path, lambda n: (value * (blobs(n) > 0)).astype(np.uint8))
    np.testing.assert_array_equal(read(found)["a0"].target, blobs(0) > 0)


def test_masks_that_jpeg_has_blurred_are_read_with_a_tolerance(tmp_path):
    target = read(of_masks(tmp_path, binary, ".jpg"))["a0"].target
    assert (target == (blobs(0) > 0)).mean() > 0.99


def test_colors_become_classes_named_by_them(tmp_path):
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255], [12, 34, 56], [255, 0, 0], [0, 0, 255]], np.uint8)
    found = of_masks(tmp_path, lambda n: palette[blobs(n)])
    option = yaml.safe_load(found.text)
    assert option["labels"]["class_names"] == ["background", "blue", "12_34_56", "red"]
    np.testing.assert_array_equal(read(found)["a0"].target, np.array([0, 3, 1, 2, 3, 1])[blobs(0)])


def test_empty_masks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="nothing but 0"):
        of_masks(tmp_path, lambda n: np.zeros(SHAPE, np.uint8))


def test_values_that_are_neither_classes_nor_objects_are_refused(tmp_path):
    noise = np.random.default_rng(0)
    with pytest.raises(ValueError, match="too many for classes"):
        of_masks(tmp_path, lambda n: noise.integers(0, 200, SHAPE, dtype=np.uint8))


def test_color_and_bits_of_images_are_seen(tmp_path):
    for n in range(4):
        save(np.stack([image(n), image(n + 1), image(n)], -1), tmp_path / f"i/a{n}.png")
        save(binary(n), tmp_path / f"m/a{n}.png")
    assert yaml.safe_load(adopt(tmp_path / "i", tmp_path / "m", None, "").text)["channels"] == 3
    for n in range(4):
        save(image(n).astype(np.uint16) * 200, tmp_path / f"j/a{n}.tif")
    found = adopt(tmp_path / "j", tmp_path / "m", None, "")
    assert yaml.safe_load(found.text)["channels"] == 1
    assert "uint16" in found.text


def test_volumes_are_seen(tmp_path):
    for n in range(3):
        for folder, array in (("i", image(n)), ("m", blobs(n) > 0)):
            (tmp_path / folder).mkdir(exist_ok=True)
            volume = np.repeat(array.astype(np.uint8)[..., None], 5, axis=2)
            nibabel.save(nibabel.Nifti1Image(volume, np.diag([1, 2, 3, 1.0])), tmp_path / folder / f"a{n}.nii.gz")
    found = adopt(tmp_path / "i", tmp_path / "m", None, "")
    option = yaml.safe_load(found.text)
    assert option["geometry"] == {"spatial_dims": 3, "distance_unit": "mm"}
    assert len(option["sampling"]["patch_size"]) == 3
    assert len(read(found)) == 3


def test_a_csv_file_lists_them_instead(tmp_path):
    lines = ["image,mask,group"]
    for n in range(4):
        save(image(n), tmp_path / f"i/{n}.png")
        save(binary(n), tmp_path / f"m/x{n}.png")
        lines.append(f"i/{n}.png,m/x{n}.png,p{n // 2}")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    found = adopt(None, None, tmp_path / "cases.csv", "")
    assert found.found[0].startswith("4 cases of 2 groups")
    np.testing.assert_array_equal(read(found)["0"].target, binary(0) > 0)


def test_a_layout_with_a_source_of_its_own_is_named(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    save(image(0), tmp_path / "imagesTr/a_0000.png")
    with pytest.raises(ValueError, match="data=nnunet data.source.root="):
        adopt(tmp_path, None, None, "")


def test_names_that_do_not_tell_are_refused(tmp_path):
    for n in range(4):
        save(image(n), tmp_path / f"i/{'abcd'[n]}.png")
        save(binary(n), tmp_path / f"m/{'wxyz'[n]}.png")
    with pytest.raises(ValueError, match="the names do not tell which mask belongs to which image, such as a.png"):
        adopt(tmp_path / "i", tmp_path / "m", None, "")
