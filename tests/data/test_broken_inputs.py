"""Broken images and masks: each gets a sentence that names file, value and remedy; odd ones must work.

Each test makes a sound data set, breaks one thing in it and starts the data module as a training would. Volumes are in
test_broken_volumes.py, tables and splits in test_broken_tables.py.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from segexp.data import DataModule
from segexp.data.cache import CaseCache
from segexp.data.sources import ISBI, Folder
from tests.data.made import data_module

SQUARE = np.zeros((32, 40), np.uint8)
SQUARE[4:20, 4:20] = 255


def put(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path)


def noise(number: int, size: tuple[int, ...] = (32, 40)) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Make images and masks of six cases, s0 to s5, and a table of them; s0 and s1 are one patient, and so on."""
    lines = ["image,mask,group,split"]
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for i in range(6):
        put(tmp_path / "images" / f"s{i}.png", noise(i))
        put(tmp_path / "masks" / f"s{i}.png", SQUARE)
        lines.append(f"images/s{i}.png,masks/s{i}.png,p{i // 2},{('train', 'train', 'val')[i // 2]}")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    return tmp_path


def started(source: Any, **changes: Any) -> DataModule:
    """Make the data module and let it read everything."""
    settings = {"channels": 1, "num_classes": 2, "class_names": ["ground", "cell"], "spatial_dims": 2}
    settings |= {"patch_size": [16, 16], "patches_per_epoch": 4, "batch_size": 4, "num_workers": 0}
    data = data_module(source=source, **(settings | {"val": 0.2, "test": 0.2} | changes))
    data.prepare_data()
    data.setup()
    next(iter(data.train_dataloader()))
    return data


def pairs(folder: Path, **settings: Any) -> Folder:
    return Folder(folder / "images", folder / "masks", **settings)


def swap(path: Path, suffix: str) -> Path:
    """Remove a file to make room for one with another suffix."""
    path.unlink()
    return path.with_suffix(suffix)


def cut(path: Path, share: float = 0.5) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def image(folder: Path, suffix: str = ".png") -> Path:
    path = folder / "images" / "s2.png"
    return path if suffix == ".png" else swap(path, suffix)


def mask(folder: Path, suffix: str = ".png") -> Path:
    path = folder / "masks" / "s2.png"
    return path if suffix == ".png" else swap(path, suffix)


def fraction_tiff(folder: Path) -> None:
    tifffile.imwrite(mask(folder, ".tif"), SQUARE.astype(np.float32) / 510)


def broken_tiff(folder: Path) -> None:
    tifffile.imwrite(image(folder, ".tif"), noise(2), compression="zlib")
    cut(folder / "images" / "s2.tif")


def blurred_mask(folder: Path) -> None:
    Image.fromarray(SQUARE).resize((20, 16)).resize((40, 32)).save(mask(folder, ".jpg"), quality=40)


def nan_tiff(folder: Path) -> None:
    pixels = noise(2).astype(np.float32)
    pixels[3, 5:9] = np.nan
    tifffile.imwrite(image(folder, ".tif"), pixels)


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated PNG": (lambda f: cut(image(f)), r"s2\.png cannot be read \(.+\): check that the file is complete.*, or"),
    "empty JPEG": (lambda f: image(f, ".jpg").touch(), r"s2\.jpg cannot be read \(.+\): check that the file is"),
    "text as PNG": (lambda f: image(f).write_text("hello"), r"s2\.png cannot be read \(.+\): check that the file is"),
    "truncated mask": (lambda f: cut(mask(f), 0.7), r"masks/s2\.png cannot be read \(.+\): check"),
    "TIFF of two pages": (
        lambda f: tifffile.imwrite(image(f, ".tif"), noise(2, (2, 32, 40)), photometric="minisblack"),
        r"s2\.tif cannot be read \(it has 2 pages where one is expected\)",
    ),
    "truncated TIFF": (broken_tiff, r"s2\.tif cannot be read \(.+\): check that the file is complete"),
    "image of 5 channels": (
        lambda f: tifffile.imwrite(image(f, ".tif"), noise(2, (32, 40, 5)), photometric="rgb", planarconfig="contig"),
        r"s2\.tif cannot be read \(it has 5 channels \(axes CYX of 5×32×40\) where 1 is expected\)",
    ),
    "NaN in an image": (nan_tiff, r"case s2 \(.*s2\.tif\) has 4 of 1280 values that are NaN or infinite: put numbers"),
    "mask of another shape": (
        lambda f: put(mask(f), SQUARE[:, :30]),
        r"image .*s2\.png is 32×40 pixels high and wide, its mask .*s2\.png is 32×30: crop or resample",
    ),
    "mask in color": (
        lambda f: put(mask(f), np.dstack([SQUARE, SQUARE // 2, SQUARE])),
        r"mask .*s2\.png is in color .*: save class numbers in one channel",
    ),
    "value 128 in a mask": (
        lambda f: put(mask(f), np.where(noise(0) > 200, 128, SQUARE).astype(np.uint8)),
        r"mask .*s2\.png has values without a class: 128 \(declared are 0, 255\): declare a class for each",
    ),
    "value 300 in a mask of 16 bits": (
        lambda f: put(mask(f), np.where(SQUARE, 300, 0).astype(np.uint16)),
        r"mask .*s2\.png has values without a class: 300 \(declared",
    ),
    "fractions in a mask": (fraction_tiff, r"mask .*s2\.tif holds fractions \(.*\): save class numbers as integers"),
    "JPEG mask": (blurred_mask, r"mask .*s2\.jpg has values without a class: .*raise the tolerance \(now 0\) where"),
    "mask missing": (lambda f: mask(f).unlink(), r"masks missing in .*masks: s2: add them, or set mask_suffix"),
    "image missing": (lambda f: image(f).unlink(), r"images missing in .*images for the masks of s2: add them"),
    "folder empty": (
        lambda f: [path.unlink() for path in (f / "images").iterdir()],
        r"images has no image files: it needs \.bmp",
    ),
    "folder is a file": (
        lambda f: ((f / "masks").rename(f / "moved"), (f / "masks").write_text("")),
        r"masks is not a folder: check the path",
    ),
    "folder missing": (lambda f: (f / "images").rename(f / "moved"), r"images is not a folder: check the path"),
    "two images of one stem": (
        lambda f: put(f / "images" / "s2.bmp", noise(2)),
        r"s2\.bmp and .*s2\.png share the name 's2': rename or remove one of them",
    ),
    "image smaller than the patch": (
        lambda f: (put(f / "images" / "s0.png", noise(0, (9, 12))), put(f / "masks" / "s0.png", SQUARE[:9, :12])),
        r"1 of 4 training cases are smaller than data\.sampling\.patch_size=\[16, 16\]: s0 \(9, 12\); take smaller "
        "patches, or",
    ),
    "equal images in train and test": (
        lambda f: put(f / "images" / "s5.png", noise(0)),
        r"equal images lie in two splits \(s0 \(train\) = s5 \(test\)\).*: remove all but one of each",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_files(what, folder):
    breaks, words = FILES[what]
    started(pairs(folder))
    breaks(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        started(pairs(folder))


def test_stack_with_a_missing_page(tmp_path):
    for name, pages in (("train-volume.tif", 29), ("train-labels.tif", 30)):
        tifffile.imwrite(tmp_path / name, noise(0, (pages, 32, 32)), photometric="minisblack")
    with pytest.raises(ValueError, match=r"train-volume\.tif has 29 pages where 30 are expected: get the whole file"):
        started(ISBI(tmp_path, download=False))
    (tmp_path / "train-labels.tif").unlink()
    with pytest.raises(FileNotFoundError, match=r"incomplete in .*missing are train-labels\.tif"):
        started(ISBI(tmp_path, download=False))


def test_all_broken_files_are_named_at_once(folder):
    for name in ("images/s1.png", "masks/s4.png"):
        (folder / name).write_text("")
    with pytest.raises(ValueError, match=r"(?s)of 6.*images/s1\.png cannot.*\n.*masks/s4\.png cannot"):
        started(pairs(folder))


# What looks odd and must work.


def masks_of(data: DataModule) -> dict[str, np.ndarray]:
    return {p.case.name: np.asarray(p.case.target) for side in ("train", "val", "test") for p in data.cases(side)}


def test_names_with_blanks_dots_and_any_script(folder):
    for part in ("images", "masks"):
        (folder / part / "s2.png").rename(folder / part / "Müller, Ö. 2.5 – 細胞.PNG")
    assert "Müller, Ö. 2.5 – 細胞" in masks_of(started(pairs(folder), cache=CaseCache(folder / "ä cache")))


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA"])
def test_masks_of_one_bit_of_a_palette_and_of_equal_channels(folder, mode):
    for i in range(6):
        if mode == "P":
            indexed = Image.fromarray(SQUARE // 255).convert("P")
            indexed.putpalette([0, 0, 0, 200, 30, 30])
            indexed.save(folder / "masks" / f"s{i}.png")
        else:
            put(folder / "masks" / f"s{i}.png", SQUARE, mode)
    values = {0: 0, 1: 1} if mode == "P" else {0: 0, 255: 1}
    for target in masks_of(started(pairs(folder, values=values))).values():
        np.testing.assert_array_equal(target, SQUARE // 255)


def test_images_with_alpha_of_16_bits_and_big_endian(folder):
    put(folder / "images" / "s0.png", noise(0, (32, 40, 4)))
    tifffile.imwrite(swap(folder / "images" / "s1.png", ".tif"), noise(1).astype(np.uint16) * 257, byteorder=">")
    put(folder / "images" / "s2.png", noise(2).astype(np.uint16) * 257)
    data = started(pairs(folder))
    for prepared in data.cases("train")[1:3]:
        number = int(prepared.case.name[1:])
        np.testing.assert_array_equal(prepared.case.image[0], noise(number).astype(np.uint16) * 257)


def test_constant_image_becomes_zero(folder):
    put(folder / "images" / "s0.png", np.full((32, 40), 77, np.uint8))
    data = started(pairs(folder))
    item = data.cases("train")[0]
    assert item.case.name == "s0"
    assert not item.intensity.standardize(item.intensity.to_unit(item.case.image)).any()


def test_blurred_masks_with_tolerance(folder):
    blurred_mask(folder)
    target = masks_of(started(pairs(folder, mask_tolerance=127)))["s2"]
    assert (target != SQUARE // 255).mean() < 0.05


def test_cache_that_cannot_be_written_warns_once(folder, caplog):
    (folder / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        data = started(pairs(folder), cache=CaseCache(folder / "file" / "cache"))
    assert len(data.cases("train")) == 4
    (said,) = [record.getMessage() for record in caplog.records if "cache" in record.getMessage()]
    assert str(folder / "file" / "cache") in said
    assert "SEGEXP_CACHE_DIR" in said


def test_damaged_cache_is_made_anew(folder):
    cache = folder / "cache"
    whole = started(pairs(folder), cache=CaseCache(cache))
    arrays = sorted(cache.rglob("*.npy"))
    assert len(arrays) == 12
    cut(arrays[0])
    arrays[3].unlink()
    for path in sorted(cache.rglob("case.json"))[:2]:
        cut(path)
    again = started(pairs(folder), cache=CaseCache(cache))
    assert again.fingerprint() == whole.fingerprint()
    assert json.loads(sorted(cache.rglob("case.json"))[0].read_text())
