"""Files written by Pillow, tifffile and OpenCV, or byte by byte, are read back."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from segexp.data.files.images import read_image, read_mask, read_stack, require_same_size


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def gray(rng):
    return rng.integers(0, 256, (20, 30), dtype=np.uint8)


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def save_png(path: Path, bits: int, color: int, rows: list[bytes], width: int) -> None:
    """Write a PNG by the letter of its specification."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, len(rows), bits, color, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF", ".PNG"])
def test_gray_and_rgb_are_read_without_loss(tmp_path, gray, rgb, suffix):
    Image.fromarray(gray).save(tmp_path / f"gray{suffix}")
    Image.fromarray(rgb).save(tmp_path / f"rgb{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"gray{suffix}", 1), gray[None])
    np.testing.assert_array_equal(read_image(tmp_path / f"rgb{suffix}", 3), rgb.transpose(2, 0, 1))
    np.testing.assert_array_equal(read_mask(tmp_path / f"gray{suffix}"), gray)


def test_jpeg_is_near(tmp_path):
    slope = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    Image.fromarray(slope).save(tmp_path / "a.jpeg", quality=95)
    image = read_image(tmp_path / "a.jpeg", 1)
    assert image.dtype == np.uint8
    assert np.abs(image[0].astype(int) - slope).max() <= 3


def test_gray_becomes_three_equal_channels(tmp_path, gray):
    Image.fromarray(gray).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 3), np.stack([gray] * 3))


def test_rgb_becomes_gray_as_pillow_does_it(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", 1)
    expected = np.asarray(Image.fromarray(rgb).convert("L")).astype(int)
    assert image.shape == (1, 20, 30)
    assert image.dtype == np.uint8
    assert np.abs(image[0] - expected).max() <= 1


def test_equal_channels_become_exactly_their_value(tmp_path, gray):
    Image.fromarray(np.stack([gray] * 3, axis=-1)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 1)[0], gray)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), gray)


def test_alpha_is_dropped(tmp_path, rgb, gray):
    Image.fromarray(np.dstack([rgb, gray])).save(tmp_path / "rgba.png")
    Image.merge("LA", [Image.fromarray(rgb[..., 0]), Image.fromarray(gray)]).save(tmp_path / "la.png")
    tifffile.imwrite(tmp_path / "rgba.tif", np.dstack([rgb, gray]), photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png", 3), rgb.transpose(2, 0, 1))
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.tif", 3), rgb.transpose(2, 0, 1))
    np.testing.assert_array_equal(read_image(tmp_path / "la.png", 1)[0], rgb[..., 0])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_palette_is_looked_up_in_images_and_kept_as_indices_in_masks(tmp_path, suffix):
    indices = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)
    image = Image.frombytes("P", (3, 2), indices.tobytes())
    image.putpalette([10, 10, 10, 200, 0, 0, 0, 99, 0])
    image.save(tmp_path / f"p{suffix}")
    np.testing.assert_array_equal(read_mask(tmp_path / f"p{suffix}"), indices)
    red = read_image(tmp_path / f"p{suffix}", 3)[0]
    np.testing.assert_array_equal(red, [[10, 200, 0], [0, 200, 10]])


def test_palette_with_transparency_raises_no_warning(tmp_path):
    image = Image.frombytes("P", (2, 1), b"\0\1")
    image.putpalette([10, 10, 10, 200, 0, 0])
    image.save(tmp_path / "p.png", transparency=bytes([255, 100]))
    np.testing.assert_array_equal(read_image(tmp_path / "p.png", 3)[0], [[10, 200]])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_one_bit_becomes_0_and_255(tmp_path, gray, suffix):
    Image.fromarray(gray > 99).save(tmp_path / f"a{suffix}")
    expected = np.where(gray > 99, 255, 0)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}", 1)[0], expected)
    np.testing.assert_array_equal(read_mask(tmp_path / f"a{suffix}"), expected)


def test_tiff_that_stores_white_as_0_is_turned_round(tmp_path, gray):
    tifffile.imwrite(tmp_path / "a.tif", 255 - gray, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 1)[0], gray)
    tifffile.imwrite(tmp_path / "b.tif", gray < 99, photometric="miniswhite")
    np.testing.assert_array_equal(read_mask(tmp_path / "b.tif"), np.where(gray < 99, 0, 255))


def test_16_bits_stay(tmp_path, rng):
    rgb = rng.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "gray.png"), rgb[..., 0])
    cv2.imwrite(str(tmp_path / "rgb.png"), rgb[..., ::-1])
    cv2.imwrite(str(tmp_path / "lzw.tif"), rgb[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    tifffile.imwrite(tmp_path / "big_endian.tif", rgb, photometric="rgb", byteorder=">")
    tifffile.imwrite(tmp_path / "planar.tif", rgb.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    for name in ["rgb.png", "lzw.tif", "big_endian.tif", "planar.tif"]:
        image = read_image(tmp_path / name, 3)
        assert image.dtype == np.uint16, name
        assert image.dtype.isnative, name
        np.testing.assert_array_equal(image, rgb.transpose(2, 0, 1), err_msg=name)
    np.testing.assert_array_equal(read_image(tmp_path / "gray.png", 1)[0], rgb[..., 0])
    assert read_mask(tmp_path / "gray.png").dtype == np.uint16


def test_16_bit_gray_with_alpha_and_4_bit_gray_as_the_png_standard_says(tmp_path, rng):
    pairs = rng.integers(0, 65536, (4, 5, 2)).astype(">u2")
    save_png(tmp_path / "la.png", 16, 4, [row.tobytes() for row in pairs], width=5)
    np.testing.assert_array_equal(read_image(tmp_path / "la.png", 1)[0], pairs[..., 0])
    save_png(tmp_path / "four.png", 4, 0, [b"\x01\x2f", b"\xf0\x00"], width=4)
    np.testing.assert_array_equal(read_image(tmp_path / "four.png", 1)[0], [[0, 17, 34, 255], [255, 0, 0, 0]])


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"])
def test_tiff_compressions(tmp_path, compression):
    smooth = np.tile(np.arange(0, 128, 2, dtype=np.uint8), (64, 1))
    Image.fromarray(smooth).save(tmp_path / "a.tif", compression=compression)
    tolerance = 4 if compression == "jpeg" else 0
    assert np.abs(read_image(tmp_path / "a.tif", 1)[0].astype(int) - smooth).max() <= tolerance


def test_cmyk_becomes_rgb(tmp_path, rgb):
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 3), rgb.transpose(2, 0, 1))


def test_float_tiff_stays_float_as_image_and_must_be_whole_as_mask(tmp_path):
    tifffile.imwrite(tmp_path / "whole.tif", np.array([[0.0, 2.0]], dtype=np.float32))
    tifffile.imwrite(tmp_path / "half.tif", np.array([[0.0, 0.5]], dtype=np.float32))
    assert read_image(tmp_path / "half.tif", 1).dtype == np.float32
    np.testing.assert_array_equal(read_mask(tmp_path / "whole.tif"), [[0, 2]])
    assert read_mask(tmp_path / "whole.tif").dtype.kind == "i"
    with pytest.raises(ValueError, match=r"half\.tif holds fractions"):
        read_mask(tmp_path / "half.tif")


def test_colored_mask_is_refused(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png is in color .* one channel"):
        read_mask(tmp_path / "m.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_truncated_file_is_refused_at_every_length(tmp_path, gray, suffix):
    whole, cut = tmp_path / f"a{suffix}", tmp_path / f"cut{suffix}"
    Image.fromarray(np.kron(gray, np.ones((4, 4), dtype=np.uint8))).save(whole)
    data = whole.read_bytes()
    for length in range(0, len(data) - 64, len(data) // 9):
        cut.write_bytes(data[:length])
        with pytest.raises(ValueError, match=rf"cut\{suffix} cannot be read .* check that the file is complete"):
            read_image(cut, 1)


@pytest.mark.parametrize("name", ["no.png", "no.tif"])
def test_absent_file_is_named(tmp_path, name):
    with pytest.raises(ValueError, match=rf"{name} cannot be read .*No such file"):
        read_mask(tmp_path / name)


def test_stack_where_one_image_is_expected(tmp_path, gray):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([gray] * 7))
    with pytest.raises(ValueError, match=r"a\.tif cannot be read \(it has 7 pages where one is expected\)"):
        read_image(tmp_path / "a.tif", 1)


def test_too_many_channels(tmp_path, rng):
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 9, (20, 30, 6), dtype=np.uint8), photometric="minisblack")
    tifffile.imwrite(
        tmp_path / "b.tif", rng.integers(0, 9, (20, 30, 6), dtype=np.uint8), photometric="rgb", planarconfig="contig"
    )
    for name in ["a.tif", "b.tif"]:
        with pytest.raises(ValueError, match=f"{name} cannot be read"):
            read_image(tmp_path / name, 3)


def test_channels_are_1_or_3(tmp_path):
    with pytest.raises(ValueError, match="channels=2 is not one of"):
        read_image(tmp_path / "a.png", 2)


def test_an_image_beyond_the_limit_of_pillow_is_read(tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    side = 13_400  # squared, more than twice that
    assert side**2 > 2 * limit
    save_png(tmp_path / "scan.png", 1, 0, [b"\0" * (side // 8)] * side, width=side)
    assert read_image(tmp_path / "scan.png", 1).shape == (1, side, side)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_decompression_bomb_is_refused(tmp_path):
    save_png(tmp_path / "bomb.png", 8, 0, [b"\0"], width=2_000_000_000)
    with pytest.raises(ValueError, match=r"bomb\.png cannot be read .*decompression bomb"):
        read_image(tmp_path / "bomb.png", 1)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True}, {"photometric": "minisblack"}])
def test_stack_of_pages(tmp_path, rng, options):
    stack = rng.integers(0, 256, (5, 20, 30), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, **options)
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif"), stack)


def test_stack_that_pillow_wrote_with_lzw(tmp_path, rng):
    stack = rng.integers(0, 256, (3, 20, 30), dtype=np.uint8)
    first, *others = [Image.fromarray(page) for page in stack]
    first.save(tmp_path / "a.tif", save_all=True, append_images=others, compression="tiff_lzw")
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif"), stack)


def test_one_page_is_a_stack_of_one(tmp_path, gray):
    tifffile.imwrite(tmp_path / "a.tif", gray)
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif"), gray[None])


def test_stacks_of_color_or_mixed_sizes_are_refused(tmp_path, gray, rgb):
    tifffile.imwrite(tmp_path / "color.tif", rgb, photometric="rgb")
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as writer:
        writer.write(gray)
        writer.write(gray[:10])
    with pytest.raises(ValueError, match=r"color.tif .*its pages are not gray .*, but axes YXS of 20×30×3"):
        read_stack(tmp_path / "color.tif")
    with pytest.raises(ValueError, match=r"mixed.tif cannot be read \(its pages .* size and type: there are 2 kinds: "):
        read_stack(tmp_path / "mixed.tif")


def test_sizes_must_agree():
    require_same_size(np.zeros((3, 4, 5)), np.zeros((4, 5)), Path("i.png"), Path("m.png"))
    with pytest.raises(ValueError, match=r"i\.png is 4×5 .* mask m\.png is 5×4: crop or resample"):
        require_same_size(np.zeros((3, 4, 5)), np.zeros((5, 4)), Path("i.png"), Path("m.png"))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_a_mask_drawn_in_the_alpha_channel_is_not_taken_for_an_empty_one(tmp_path, suffix):
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[5:9, 4:20, 3] = 255
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unassalpha"])
    else:
        Image.fromarray(pixels).save(path, lossless=True)
    with pytest.raises(ValueError, match=r"transparent in parts \(alpha from 0 to 255\)"):
        read_mask(path)
    assert read_image(path, 3).shape == (3, 20, 30)
    pixels[..., 0] = pixels[..., 1] = pixels[..., 2] = pixels[..., 3]  # white on nothing
    Image.fromarray(pixels).save(tmp_path / "white.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "white.png"), pixels[..., 0])
    pixels[:] = [0, 0, 0, 255]
    Image.fromarray(pixels).save(tmp_path / "opaque.png")
    assert not read_mask(tmp_path / "opaque.png").any()
