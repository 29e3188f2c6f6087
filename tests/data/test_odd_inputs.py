"""Sixty odd folders, files and tables as people have them: read as they are meant, or refused for their true reason."""

import gzip
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from segexp.data.sources import Folder, Manifest

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
MASK = np.zeros((40, 50), np.uint8)
MASK[5:20, 6:30] = 255
VOXELS = np.random.default_rng(1).normal(size=(12, 13, 14)).astype(np.float32)
LABELS = (VOXELS > 0).astype(np.uint8)
ODD: dict[str, tuple[Callable[[Path], object], str]] = {}  # by name: what makes and reads it, words of the refusal


def odd(words: str = "") -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    def keep(function: Callable[[Path], object]) -> Callable[[Path], object]:
        ODD[function.__name__] = function, words
        return function

    return keep


def save(pixels: np.ndarray, path: Path, **options: object) -> None:
    Image.fromarray(pixels).save(path, **options)


def pair(folder: Path, image: str = "a.png", mask: str = "a.png", pixels=IMAGE, labels=MASK) -> tuple[Path, Path]:
    """Write an image and its mask; a name of "" leaves one out."""
    for part in ("images", "masks"):
        (folder / part).mkdir()
    if image:
        save(pixels, folder / "images" / image)
    if mask:
        save(labels, folder / "masks" / mask)
    return folder / "images", folder / "masks"


def read(folder: Path, **settings: object) -> list:
    source = Folder(folder / "images", folder / "masks", **settings)
    source.prepare()
    return [source.read(entry.name) for entry in source.entries()]


def require_plain(folder: Path, name: str = "a", **settings: object) -> None:
    """Read the one case and require the pixels and the mask of this module."""
    (case,) = read(folder, **settings)
    assert case.name == name
    np.testing.assert_array_equal(case.image[0], IMAGE)
    np.testing.assert_array_equal(case.target, MASK // 255)


def volumes(
    folder: Path, image: np.ndarray = VOXELS, labels: np.ndarray = LABELS, ends: str = ".nii.gz", **moved
) -> list:
    for part, voxels in (("images", image), ("masks", labels)):
        (folder / part).mkdir()
        affine = moved.get(part, np.eye(4))
        nib.save(nib.Nifti1Image(voxels, affine), folder / part / f"v{ends}")
    return read(folder, values={0: 0, 1: 1})


def listed(folder: Path, table: str | bytes) -> list:
    pair(folder)
    (folder / "cases.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    source = Manifest(folder / "cases.csv")
    source.prepare()
    return [source.read(entry.name) for entry in source.entries()]


# Names


@odd()
def suffixes_in_capitals(folder):
    pair(folder, "A.PNG", "A.Png")
    require_plain(folder, "A")


@odd()
def a_png_that_is_called_jpg(folder):
    images, _ = pair(folder)
    (images / "a.png").rename(images / "a.jpg")
    require_plain(folder)


@odd()
def letters_composed_in_one_name_and_not_in_the_other(folder):
    pair(folder, "\u00fc.png", "u\u0308.png")
    (case,) = read(folder)
    np.testing.assert_array_equal(case.target, MASK // 255)


@odd()
def blanks_brackets_commas_and_equals_signs(folder):
    pair(folder, "a, [b] (1)=x.png", "a, [b] (1)=x.png")
    require_plain(folder, "a, [b] (1)=x")


@odd()
def dots_within_names(folder):
    pair(folder, "a.b.png", "a.b.png")
    require_plain(folder, "a.b")


@odd("a.jpg and .*a.png share the name 'a'")
def one_name_with_two_suffixes(folder):
    images, _ = pair(folder)
    save(IMAGE, images / "a.jpg")
    read(folder)


@odd()
def names_that_differ_by_capitals_alone(folder):
    images, masks = pair(folder)
    save(255 - IMAGE, images / "A.png")
    save(MASK, masks / "A.png")
    assert [case.name for case in read(folder)] == ["A", "a"]


@odd()
def files_that_systems_leave(folder):
    images, masks = pair(folder)
    for path in (images / "._a.png", masks / ".DS_Store", images / "Thumbs.db", images / "notes.txt"):
        path.write_bytes(b"x")
    require_plain(folder)
    left = Folder(images, masks).left_out()
    assert sum(map(len, left.values())) == 4


@odd()
def a_folder_called_like_an_image(folder):
    images, _ = pair(folder)
    (images / "b.png").mkdir()
    require_plain(folder)


@odd()
def files_of_kinds_that_are_no_images(folder):
    images, masks = pair(folder)
    (images / "b.svg").write_text("<svg/>")
    (images / "c.heic").write_bytes(b"x")
    zipfile.ZipFile(images / "all.zip", "w").close()
    require_plain(folder)
    assert sum(map(len, Folder(images, masks).left_out().values())) == 3


# What files hold


@odd("it is empty")
def an_empty_file(folder):
    images, _ = pair(folder)
    (images / "a.png").write_bytes(b"")
    read(folder)


@odd("it is a web page")
def a_page_of_a_download_that_failed(folder):
    images, _ = pair(folder)
    (images / "a.png").write_text("<html>404</html>")
    read(folder)


@odd("pointer of Git LFS")
def a_pointer_of_git_lfs(folder):
    images, _ = pair(folder)
    (images / "a.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n")
    read(folder)


@odd("a.png cannot be read")
def a_link_that_leads_nowhere(folder):
    images, _ = pair(folder, image="")
    (images / "a.png").symlink_to("/nowhere/x.png")
    read(folder)


@odd("masks missing in .*: b")
def a_pipe_among_the_images(folder):
    images, _ = pair(folder)
    os.mkfifo(images / "b.png")
    read(folder)


@odd("has 2 frames where one is expected")
def an_animated_png(folder):
    pair(folder, image="")
    save(IMAGE, folder / "images" / "a.png", save_all=True, append_images=[Image.fromarray(255 - IMAGE)])
    read(folder)


@odd("has 2 frames where one is expected")
def an_animated_gif(folder):
    pair(folder, image="")
    save(IMAGE, folder / "images" / "a.gif", save_all=True, append_images=[Image.fromarray(255 - IMAGE)])
    read(folder)


@odd()
def a_webp_without_loss(folder):
    pair(folder, image="")
    save(IMAGE, folder / "images" / "a.webp", lossless=True)
    require_plain(folder)


@odd()
def a_jpeg_2000_of_16_bits(folder):
    images, _ = pair(folder, image="")
    (images / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(IMAGE.astype(np.uint16) * 16, level=0))
    (case,) = read(folder)
    np.testing.assert_array_equal(case.image[0], IMAGE.astype(np.uint16) * 16)


@odd()
def a_photograph_that_was_stored_turned(folder):
    images, _ = pair(folder, image="")
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(IMAGE)))
    exif = turned.getexif()
    exif[274] = 6
    turned.save(images / "a.png", exif=exif)
    require_plain(folder)


@odd()
def bytes_behind_the_end_of_a_png(folder):
    images, _ = pair(folder)
    (images / "a.png").write_bytes((images / "a.png").read_bytes() + b"junk")
    require_plain(folder)


@odd()
def bytes_behind_the_end_of_a_tiff(folder):
    images, _ = pair(folder, image="")
    tifffile.imwrite(images / "a.tif", IMAGE)
    (images / "a.tif").write_bytes((images / "a.tif").read_bytes() + b"junk")
    require_plain(folder)


@odd()
def a_thumbnail_behind_the_image(folder):
    images, _ = pair(folder, image="")
    with tifffile.TiffWriter(images / "a.tif") as writer:
        writer.write(IMAGE, photometric="minisblack")
        writer.write(IMAGE[::4, ::4], photometric="minisblack", subfiletype=1)
    require_plain(folder)


@odd()
def negative_values_behind_a_predictor(folder):
    images, _ = pair(folder, image="")
    tifffile.imwrite(images / "a.tif", IMAGE.astype(np.int16) - 300, compression="lzw", predictor=True)
    (case,) = read(folder)
    np.testing.assert_array_equal(case.image[0], IMAGE.astype(np.int16) - 300)


@odd("holds complex64 values, where real numbers are expected")
def complex_numbers(folder):
    images, _ = pair(folder, image="")
    tifffile.imwrite(images / "a.tif", IMAGE.astype(np.complex64))
    read(folder)


@odd("has 4 pages where one is expected")
def an_image_of_four_pages(folder):
    images, _ = pair(folder, image="")
    tifffile.imwrite(images / "a.tif", np.stack([IMAGE] * 4), photometric="minisblack")
    read(folder)


@odd("allow_pickle")
def a_pickle_in_a_numpy_file(folder):
    _, masks = pair(folder, mask="")
    np.save(masks / "a.npy", np.array([{1: 2}], dtype=object))
    read(folder)


@odd("it holds b.npy, a.npy|it holds a.npy, b.npy")
def two_arrays_in_one_file(folder):
    _, masks = pair(folder, mask="")
    np.savez(masks / "a.npz", a=MASK, b=MASK)
    read(folder)


# Masks


@odd("transparent in parts")
def a_mask_drawn_in_alpha(folder):
    pixels = np.zeros((40, 50, 4), np.uint8)
    pixels[..., 3] = MASK
    pair(folder, labels=pixels)
    read(folder)


@odd("is in color")
def a_mask_in_red(folder):
    pixels = np.zeros((40, 50, 3), np.uint8)
    pixels[..., 0] = MASK
    pair(folder, labels=pixels)
    read(folder)


@odd()
def a_mask_in_red_whose_color_is_declared(folder):
    pixels = np.zeros((40, 50, 3), np.uint8)
    pixels[..., 0] = MASK
    pair(folder, labels=pixels)
    require_plain(folder, colors={"black": 0, "255/0/0": 1})


@odd()
def a_mask_of_truth_values(folder):
    _, masks = pair(folder, mask="")
    np.save(masks / "a.npy", MASK > 0)
    require_plain(folder)


@odd("values without a class: 1 ")
def a_mask_of_0_and_1(folder):
    pair(folder, labels=MASK // 255)
    read(folder)


@odd("raise the tolerance")
def a_mask_blurred_by_jpeg(folder):
    pair(folder, mask="a.jpg")
    read(folder)


@odd()
def a_mask_blurred_by_jpeg_with_a_tolerance(folder):
    pair(folder, mask="a.jpg")
    require_plain(folder, mask_tolerance=127)


@odd("values without a class: 51000")
def numbers_of_objects_in_16_bits(folder):
    pair(folder, labels=MASK.astype(np.uint16) * 200)
    read(folder)


@odd()
def numbers_of_objects_as_one_class(folder):
    pair(folder, labels=MASK.astype(np.uint16) * 200)
    require_plain(folder, values={0: 0, "other": 1})


@odd()
def indices_of_a_palette(folder):
    _, masks = pair(folder, mask="")
    mask = Image.fromarray(MASK // 255 * np.uint8(15), "P")
    mask.putpalette([shade for index in range(256) for shade in (index, 255 - index, index)])
    mask.save(masks / "a.png")
    require_plain(folder, values={0: 0, 15: 1})


@odd("is 40×50 pixels high and wide, its mask .* is 50×40")
def a_mask_on_its_side(folder):
    pair(folder, labels=np.ascontiguousarray(MASK.T))
    read(folder)


@odd("masks is not a folder")
def a_file_in_place_of_the_folder(folder):
    _, masks = pair(folder, mask="")
    masks.rmdir()
    masks.write_text("x")
    read(folder)


@odd("has no image files: .* it has nothing")
def folders_of_nothing(folder):
    pair(folder, "", "")
    read(folder)


# Volumes


@odd()
def labels_that_went_through_a_float(folder):
    (case,) = volumes(folder, labels=LABELS * 0.9999999)
    np.testing.assert_array_equal(case.target, LABELS.T)


@odd("holds fractions .0.7")
def probabilities_for_labels(folder):
    volumes(folder, labels=LABELS * 0.7)


@odd("1 of 2184 values that are NaN")
def a_label_that_is_no_number(folder):
    labels = LABELS.astype(np.float32)
    labels[0, 0, 0] = np.nan
    volumes(folder, labels=labels)


@odd("save real numbers, colors as channels")
def voxels_in_color(folder):
    volumes(folder, np.zeros((12, 13, 14), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]))


@odd("has 2 axes .12×13., not 3")
def a_nifti_of_two_axes(folder):
    volumes(folder, VOXELS[:, :, 0], LABELS[:, :, 0])


@odd()
def a_nifti_of_one_slice(folder):
    (case,) = volumes(folder, VOXELS[:, :, :1].copy(), LABELS[:, :, :1].copy())
    assert case.image.shape == (1, 1, 13, 12)


@odd("lie up to 8.66 mm apart")
def labels_that_lie_elsewhere(folder):
    affine = np.eye(4)
    affine[:3, 3] = 5
    volumes(folder, masks=affine)


@odd()
def labels_stored_in_the_other_direction(folder):
    affine = np.diag([-1.0, 1, 1, 1])
    affine[0, 3] = 11
    (case,) = volumes(folder, labels=np.ascontiguousarray(LABELS[::-1]), masks=affine)
    np.testing.assert_array_equal(case.target, LABELS.T)


@odd("not compressed by gzip: rename it")
def a_plain_nifti_that_is_called_compressed(folder):
    volumes(folder, ends=".nii")
    (folder / "images" / "v.nii").rename(folder / "images" / "v.nii.gz")
    read(folder, values={0: 0, 1: 1})


@odd("it is compressed by gzip: rename it")
def a_compressed_nifti_that_is_called_plain(folder):
    volumes(folder)
    (folder / "images" / "v.nii.gz").rename(folder / "images" / "v.nii")
    read(folder, values={0: 0, 1: 1})


@odd("v.nii.gz cannot be read")
def nothing_that_was_compressed(folder):
    volumes(folder)
    (folder / "images" / "v.nii.gz").write_bytes(gzip.compress(b""))
    read(folder, values={0: 0, 1: 1})


@odd("it has 1 .hdr, 1 .img")
def an_image_of_two_files(folder):
    pair(folder, "", "")
    nib.save(nib.Nifti1Pair(VOXELS, np.eye(4)), folder / "images" / "v.img")
    read(folder)


@odd("it has 1 .mgz")
def a_volume_of_freesurfer(folder):
    pair(folder, "", "")
    nib.save(nib.MGHImage(VOXELS, np.eye(4)), folder / "images" / "v.mgz")
    read(folder)


# Tables


@odd()
def a_table_as_windows_writes_it(folder):
    assert len(listed(folder, "\ufeffimage,mask\r\nimages/a.png,masks/a.png\r\n")) == 1


@odd("is not in UTF-8")
def a_table_in_utf_16(folder):
    listed(folder, "image,mask\nimages/a.png,masks/a.png\n".encode("utf-16"))


@odd("write / in place of")
def paths_of_windows(folder):
    listed(folder, "image,mask\nimages\\a.png,masks\\a.png\n")


@odd("lists files that are not there: .*file:/")
def addresses_in_place_of_paths(folder):
    listed(folder, f"image,mask\nfile://{folder}/images/a.png,masks/a.png\n")


@odd("has split Train: it must be train, val or test")
def a_split_in_capitals(folder):
    listed(folder, "image,mask,split\nimages/a.png,masks/a.png,Train\n")


@odd("did you mean 'image'")
def columns_in_capitals(folder):
    listed(folder, "Image,Mask\nimages/a.png,masks/a.png\n")


@odd("lacks image, mask")
def a_table_without_header(folder):
    listed(folder, "images/a.png,masks/a.png\n")


@odd("has unknown ''")
def an_index_that_pandas_wrote(folder):
    listed(folder, ",image,mask\n0,images/a.png,masks/a.png\n")


@odd("has spacing '0,5' for case a")
def a_decimal_comma(folder):
    listed(folder, 'image,mask,spacing\nimages/a.png,masks/a.png,"0,5"\n')


@pytest.mark.parametrize("name", ODD)
def test_it_is_read_as_meant_or_refused_for_its_reason(tmp_path, name):
    make_and_read, words = ODD[name]
    if not words:
        make_and_read(tmp_path)
        return
    with pytest.raises((ValueError, OSError), match=words):
        make_and_read(tmp_path)


def test_there_are_sixty():
    assert len(ODD) >= 60
