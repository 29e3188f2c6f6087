"""Folders as data sets come in them: each is read with one setting, or refused with the remedy."""

import os
import shutil
from copy import deepcopy
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from segexp.config import compose, plain
from segexp.data.sources import Folder, Nuclei, left_out
from segexp.data.splits import SplitSettings, make_split

SIZE = (6, 8)


def picture(path: Path, pixels: np.ndarray | int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.broadcast_to(np.asarray(pixels, np.uint8), np.shape(pixels) or SIZE)
    Image.fromarray(values).save(path)


def volume(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full((4, 5, 6), value, np.uint8)
    values[0] = 0
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)


@cache
def composed() -> DictConfig:
    """Compose data=folder once: that takes longer than all else here."""
    return compose(["data=folder", "name=test"], run_dir="unused")


def configured(*words: str) -> Folder:
    """Source of data=folder with settings as they stand on a command line."""
    config = deepcopy(composed())
    for override in OverridesParser.create().parse_overrides(list(words)):
        OmegaConf.update(config, override.key_or_group, override.value())
    return instantiate(plain(config)["data"]["source"], _convert_="all")


def at(images: Path, masks: Path, *words: str) -> Folder:
    return configured(f"data.source.images={images}", f"data.source.masks={masks}", *words)


def facts(source: Folder) -> list[tuple[str, str]]:
    return [(entry.name, entry.group) for entry in source.entries()]


def test_isic(tmp_path):
    for number in (0, 10):
        picture(tmp_path / "in" / f"ISIC_{number:07d}.jpg", 9)
        picture(tmp_path / "truth" / f"ISIC_{number:07d}_segmentation.png", 255)
    remedy = "data.source.mask_suffix=_segmentation"
    with pytest.raises(ValueError, match=rf"masks missing in .*truth: .*: names pair with  {remedy}"):
        at(tmp_path / "in", tmp_path / "truth").prepare()
    source = at(tmp_path / "in", tmp_path / "truth", remedy)
    assert facts(source) == [("ISIC_0000000", ""), ("ISIC_0000010", "")]
    assert source.read("ISIC_0000010").target.min() == 1


def test_camvid(tmp_path):
    picture(tmp_path / "raw" / "0001TP_006690.png", np.zeros((*SIZE, 3)))
    colors = np.zeros((*SIZE, 3))
    colors[:2], colors[2:4], colors[4:] = (128, 0, 0), (128, 64, 128), (1, 2, 3)
    picture(tmp_path / "labels" / "0001TP_006690_L.png", colors)
    where = (tmp_path / "raw", tmp_path / "labels", "data.source.mask_suffix=_L")
    with pytest.raises(ValueError, match=r"_L\.png is in color"):
        at(*where).read("0001TP_006690")
    source = at(*where, "data.source.colors={128/0/0: 0, 128/64/128: 1, other: 255}", "data.channels=3")
    assert source.read("0001TP_006690").target[:, 0].tolist() == [0, 0, 1, 1, 255, 255]


def test_cityscapes(tmp_path):
    for split in ("train", "val"):
        stem = f"{split}/aachen_{split}/aachen_{split}_000000_000019"
        picture(tmp_path / "leftImg8bit" / f"{stem}_leftImg8bit.png")
        for kind, value in (("labelIds", 7), ("instanceIds", 99), ("color", 50)):
            picture(tmp_path / "gtFine" / f"{stem}_gtFine_{kind}.png", value)
        (tmp_path / "gtFine" / f"{stem}_gtFine_polygons.json").write_text("{}")
    source = at(
        tmp_path / "leftImg8bit",
        tmp_path / "gtFine",
        'data.source.image_pattern="{split}/{group}/{name}_leftImg8bit"',
        'data.source.mask_pattern="{split}/{group}/{name}_gtFine_labelIds"',
        "data.source.values={7: 1, other: 0}",
    )
    assert facts(source)[0] == ("train_aachen_train_000000_000019", "aachen_train")
    assert [entry.split for entry in source.entries()] == ["train", "val"]
    assert source.read("val_aachen_val_000000_000019").target.min() == 1
    counts = {reason: len(paths) for reason, paths in left_out(source).items()}
    assert counts == {"not like '{split}/{group}/{name}_gtFine_labelIds'": 4, "no image: .json": 2}


def test_monuseg_has_outlines_and_no_masks(tmp_path):
    picture(tmp_path / "Tissue Images" / "TCGA-18-5592.tif")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "TCGA-18-5592.xml").write_text("<Annotations/>")
    with pytest.raises(ValueError, match=r"Annotations has no image files: it needs .*; it has 1 \.xml"):
        at(tmp_path / "Tissue Images", tmp_path / "Annotations").prepare()


def test_lits(tmp_path):
    for number in (1, 10, 11):
        volume(tmp_path / f"volume-{number}.nii")
        volume(tmp_path / f"segmentation-{number}.nii", 2)
    source = at(
        tmp_path,
        tmp_path,
        'data.source.image_pattern="volume-{name}"',
        'data.source.mask_pattern="segmentation-{name}"',
        "data.source.values={0: 0, 1: 1, 2: 2}",
    )
    assert facts(source) == [("1", ""), ("10", ""), ("11", "")]
    assert source.read("10").target.max() == 2
    for kind, folder in (("volume", "ct"), ("segmentation", "seg")):
        (tmp_path / folder).mkdir()
        for number in (10, 11):
            (tmp_path / f"{kind}-{number}.nii").rename(tmp_path / folder / f"{kind}-{number}.nii")
    with pytest.raises(ValueError, match=r'image_pattern="volume-{name}".*mask_pattern="segmentation-{name}"'):
        at(tmp_path / "ct", tmp_path / "seg").prepare()


BRATS = (
    'data.source.image_pattern=["{name}/{name}_flair","{name}/{name}_t1"]',
    'data.source.mask_pattern="{name}/{name}_seg"',
    "data.source.values={0: 0, other: 1}",
)


def test_brats_joins_the_modalities_that_are_named(tmp_path):
    for number in (1, 2):
        name = f"BraTS20_Training_{number:03d}"
        for value, kind in enumerate(("flair", "seg", "t1", "t1ce", "t2")):
            volume(tmp_path / name / f"{name}_{kind}.nii.gz", value)
    source = at(tmp_path, tmp_path, *BRATS)
    assert facts(source) == [("BraTS20_Training_001", ""), ("BraTS20_Training_002", "")]
    case = source.read("BraTS20_Training_002")
    assert (case.image.shape, case.image.max(axis=(1, 2, 3)).tolist()) == ((2, 6, 5, 4), [0, 2])
    assert case.target.max() == 1
    assert [len(paths) for paths in left_out(source).values()] == [4]
    (tmp_path / "BraTS20_Training_001" / "BraTS20_Training_001_t1.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"channels missing in .*: BraTS20_Training_001/BraTS20_Training_001_t1: add"):
        at(tmp_path, tmp_path, *BRATS).prepare()
    with pytest.raises(ValueError, match=r"masks missing in .*001_t1ce_seg"):
        at(tmp_path, tmp_path, "data.source.mask_suffix=_seg").prepare()


def test_acdc(tmp_path):
    for patient in ("patient001", "patient002"):
        for frame in (1, 12):
            volume(tmp_path / patient / f"{patient}_frame{frame:02d}.nii.gz")
            volume(tmp_path / patient / f"{patient}_frame{frame:02d}_gt.nii.gz", 3)
        volume(tmp_path / patient / f"{patient}_4d.nii.gz")
        (tmp_path / patient / "Info.cfg").write_text("")
    source = at(
        tmp_path,
        tmp_path,
        'data.source.image_pattern="{group}/{group}_frame{name}"',
        'data.source.mask_pattern="{group}/{group}_frame{name}_gt"',
    )
    assert facts(source)[:3] == [
        ("patient001_01", "patient001"),
        ("patient001_12", "patient001"),
        ("patient002_01", "patient002"),
    ]
    assert sum(len(paths) for paths in left_out(source).values()) == 4


@pytest.fixture
def dsb(tmp_path):
    """Make one image with three nuclei, two of which touch, as stage1_train of the Data Science Bowl has them."""
    picture(tmp_path / "c0ffee" / "images" / "c0ffee.png", np.zeros((*SIZE, 4)))
    for number, columns in enumerate(((0, 2), (2, 4), (6, 8))):
        mask = np.zeros(SIZE)
        mask[:, slice(*columns)] = 255
        picture(tmp_path / "c0ffee" / "masks" / f"{number:032x}.png", mask)
    return tmp_path


DSB = ('data.source.image_pattern="{name}/images/{name}"', 'data.source.mask_pattern="{name}/masks/*"')


def test_one_file_per_object(dsb):
    source = at(dsb, dsb, *DSB, "data.source.merge_masks=true")
    assert facts(source) == [("c0ffee", "")]
    assert source.read("c0ffee").target[0].tolist() == [1, 1, 1, 1, 0, 0, 1, 1]
    assert len(source.entries()[0].files) == 4
    assert source.read("c0ffee").instances is None
    numbered = at(dsb, dsb, *DSB, "data.source.merge_masks=true", "data.source.instances=true").read("c0ffee")
    assert numbered.instances[0].tolist() == [1, 1, 2, 2, 0, 0, 3, 3]
    assert numbered.target.tolist() == source.read("c0ffee").target.tolist()
    bordered = at(dsb, dsb, *DSB, "data.source.merge_masks=true", "data.source.border_width=1")
    assert bordered.read("c0ffee").target[0].tolist() == [1, 2, 2, 2, 0, 0, 2, 1]
    with pytest.raises(ValueError, match=r"case c0ffee has 3 masks \(.*\): set data\.source\.merge_masks=true"):
        at(dsb, dsb, *DSB).prepare()
    with pytest.raises(ValueError, match=r"are the same folder: set mask_suffix .*or image_pattern and mask_pattern"):
        Folder(dsb, dsb)


@pytest.mark.parametrize("further", ["benign (1)_mask_1", "benign (1)_mask (2)", "benign (1)_mask-3"])
def test_further_masks_of_an_image_are_merged_or_refused(tmp_path, further):
    left, right = np.zeros(SIZE), np.zeros(SIZE)
    left[:, 0], right[:, 7] = 255, 255
    for stem, pixels in (("benign (1)", 9), ("benign (2)", 8), ("benign (2)_mask", left)):
        picture(tmp_path / f"{stem}.png", pixels)
    picture(tmp_path / "benign (1)_mask.png", left)
    picture(tmp_path / f"{further}.png", right)
    suffix = "data.source.mask_suffix=_mask"
    with pytest.raises(ValueError, match=r"case benign \(1\) has 2 masks .*merge_masks=true"):
        at(tmp_path, tmp_path, suffix).prepare()
    source = at(tmp_path, tmp_path, suffix, "data.source.merge_masks=true")
    assert facts(source) == [("benign (1)", ""), ("benign (2)", "")]
    assert source.read("benign (1)").target[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 1]
    assert left_out(source) == {}


def test_busi_keeps_its_kinds_in_proportion(tmp_path):
    for kind, further in (("benign", "_1"), ("normal", "")):
        picture(tmp_path / kind / f"{kind} (1).png", 9)
        picture(tmp_path / kind / f"{kind} (1)_mask.png")
        picture(tmp_path / kind / f"{kind} (1)_mask{further}.png", 255)
    patterns = [
        f'data.source.{part}="{{stratum}}/{{name}}{end}"'
        for part, end in (("image_pattern", ""), ("mask_pattern", "_mask*"))
    ]
    source = at(tmp_path, tmp_path, *patterns, "data.source.merge_masks=true")
    assert [(entry.name, entry.group, entry.stratum) for entry in source.entries()] == [
        ("benign (1)", "", "benign"),
        ("normal (1)", "", "normal"),
    ]
    assert [source.read(entry.name).target.max() for entry in source.entries()] == [1, 1]


def test_folders_of_patients_are_groups(tmp_path):
    for patient in ("p1", "p2", "p3"):
        for stem in ("day1/a", "day2/a"):
            picture(tmp_path / "images" / patient / f"{stem}.png")
            picture(tmp_path / "masks" / patient / f"{stem}.png", 255)
    source = at(tmp_path / "images", tmp_path / "masks")
    assert facts(source)[:3] == [("p1_day1_a", "p1"), ("p1_day2_a", "p1"), ("p2_day1_a", "p2")]
    split = make_split(source.entries(), SplitSettings(method="random", val=0.34, test=0.34))
    assert {name[:2] for name in split.train}.isdisjoint(name[:2] for name in split.test)
    picture(tmp_path / "images" / "p1_day1" / "a.png")
    picture(tmp_path / "masks" / "p1_day1" / "a.png", 255)
    with pytest.raises(ValueError, match=r"a\.png and .*a\.png share the name 'p1_day1_a'"):
        at(tmp_path / "images", tmp_path / "masks").prepare()


def test_folders_of_splits_and_of_kinds(tmp_path):
    for split, kind in (("training", "ill"), ("validation", "well"), ("test", "ill")):
        picture(tmp_path / split / kind / "images" / "1.png")
        picture(tmp_path / split / kind / "masks" / "1.png", 255)
    patterns = [f'data.source.{part}_pattern="{{split}}/{{stratum}}/{part}s/{{name}}"' for part in ("image", "mask")]
    entries = at(tmp_path, tmp_path, *patterns).entries()
    assert [(entry.name, entry.split, entry.stratum) for entry in entries] == [
        ("test_ill_1", "test", "ill"),
        ("train_ill_1", "train", "ill"),
        ("val_well_1", "val", "well"),
    ]
    (tmp_path / "training").rename(tmp_path / "holdout")
    with pytest.raises(ValueError, match=r"the split in its path='holdout' is not one of"):
        at(tmp_path, tmp_path, *patterns).prepare()


def test_images_and_masks_of_one_name_beside_each_other_are_told_by_their_suffix(tmp_path):
    picture(tmp_path / "a.jpg", 9)
    picture(tmp_path / "a.png", 255)
    source = at(tmp_path, tmp_path, 'data.source.image_pattern="{name}.jpg"', 'data.source.mask_pattern="{name}.png"')
    assert [path.name for path in source.read("a").files] == ["a.jpg", "a.png"]


def test_masks_in_a_folder_within_that_of_the_images(tmp_path):
    picture(tmp_path / "a.png", 9)
    picture(tmp_path / "masks" / "a.png", 255)
    source = at(tmp_path, tmp_path / "masks")
    assert [path.parent.name for path in source.read("a").files] == [tmp_path.name, "masks"]
    assert left_out(source) == {}


def test_what_looks_like_a_mask_is_an_image_if_it_has_a_mask(tmp_path):
    for stem in ("p1_L", "p1_R", "p1_L_L", "p1_R_L"):
        picture(tmp_path / f"{stem}.png", 255)
    assert facts(at(tmp_path, tmp_path, "data.source.mask_suffix=_L")) == [("p1_L", ""), ("p1_R", "")]


def test_pascal_voc_labels_some_of_its_images(tmp_path):
    for number in (1, 2, 3):
        picture(tmp_path / "JPEGImages" / f"2007_{number:06d}.jpg", np.zeros((*SIZE, 3)))
    palette = Image.fromarray(np.full(SIZE, 15, np.uint8), "P")
    palette.putpalette(list(range(256)) * 3)
    (tmp_path / "SegmentationClass").mkdir()
    palette.save(tmp_path / "SegmentationClass" / "2007_000002.png")
    where = (tmp_path / "JPEGImages", tmp_path / "SegmentationClass")
    with pytest.raises(ValueError, match=r"masks missing in .*: 2007_000001, 2007_000003.*skip_unlabeled=true"):
        at(*where).prepare()
    source = at(*where, "data.source.skip_unlabeled=true", "data.source.values={0: 0, 15: 1, 255: 255, other: 0}")
    assert facts(source) == [("2007_000002", "")]
    assert source.read("2007_000002").target.min() == 1
    assert left_out(source) == {"no mask": ("JPEGImages/2007_000001.jpg", "JPEGImages/2007_000003.jpg")}
    (tmp_path / "SegmentationClass" / "2007_000002.png").rename(tmp_path / "SegmentationClass" / "9.png")
    with pytest.raises(ValueError, match="masks missing"):
        at(*where, "data.source.skip_unlabeled=true").prepare()


def test_subfolders_called_as_splits_are_no_patients(tmp_path):
    for split, patient in (("training", "p1"), ("training", "p2"), ("validation", "p3")):
        picture(tmp_path / "images" / split / patient / "a.jpg")
        picture(tmp_path / "annotations" / split / patient / "a.png", 255)
    entries = at(tmp_path / "images", tmp_path / "annotations").entries()
    assert [(entry.name, entry.group, entry.split) for entry in entries] == [
        ("training_p1_a", "p1", "train"),
        ("training_p2_a", "p2", "train"),
        ("validation_p3_a", "p3", "val"),
    ]


def test_slicer(tmp_path):
    import SimpleITK as sitk  # noqa: N813

    for number in (1, 2):
        for name in (f"ct{number}.nrrd", f"ct{number}.seg.nrrd"):
            sitk.WriteImage(sitk.GetImageFromArray(np.eye(4, dtype=np.uint8)[None]), str(tmp_path / name))
    values = "data.source.values={0: 0, 1: 1}"
    assert facts(at(tmp_path, tmp_path, "data.source.mask_suffix=.seg", values)) == [("ct1", ""), ("ct2", "")]


def test_a_name_that_is_no_text_is_refused(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"\xff.png"))
    with pytest.raises(ValueError, match=r"the name of '.*udcff\.png' is not in UTF-8: rename it"):
        at(tmp_path, tmp_path, "data.source.mask_suffix=_m").prepare()


def test_settings_of_2d_masks_are_refused_for_volumes(tmp_path):
    volume(tmp_path / "a.nii")
    volume(tmp_path / "a_m.nii", 1)
    colored = at(tmp_path, tmp_path, "data.source.mask_suffix=_m", "data.source.colors={red: 1}")
    with pytest.raises(ValueError, match=r"colors are of 2-D masks, and .*a_m\.nii is of a volume: set values"):
        colored.read("a")
    words = ("data.source.mask_suffix=_m", "data.source.border_width=1", "data.source.values={0: 0, 1: 1}")
    with pytest.raises(ValueError, match=r"border_width=1 is for 2-D images, and .*a_m\.nii is a volume: set it to 0"):
        at(tmp_path, tmp_path, *words).read("a")


@pytest.mark.skipif("SEGEXP_DATA_DIR" not in os.environ, reason="SEGEXP_DATA_DIR is not set: no real data")
def test_real_nuclei_in_one_file_each_are_those_in_one_numbered_file(tmp_path):
    root = Path(os.environ["SEGEXP_DATA_DIR"]) / "dsb2018_nuclei"
    if not root.is_dir():
        pytest.skip(f"{root} is missing")
    numbered = Nuclei(root, border_width=1)
    for name in [entry.name for entry in numbered.entries()][:3]:
        (tmp_path / name / "images").mkdir(parents=True)
        shutil.copy(root / "images" / f"{name}.png", tmp_path / name / "images")
        labels = np.array(Image.open(root / "labels" / f"{name}.png"))
        for number in range(1, labels.max() + 1):
            picture(tmp_path / name / "masks" / f"{number:032x}.png", np.where(labels == number, 255, 0))
    words = ("data.source.merge_masks=true", "data.source.border_width=1", "data.channels=3")
    source = at(tmp_path, tmp_path, *DSB, *words)
    for entry in source.entries():
        np.testing.assert_array_equal(source.read(entry.name).target, numbered.read(entry.name).target)
        np.testing.assert_array_equal(source.read(entry.name).image, numbered.read(entry.name).image)
