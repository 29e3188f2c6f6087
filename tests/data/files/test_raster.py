"""PNG, JPEG and their kin mean the same whatever their writer; checksums are looked at."""

import io
from pathlib import Path

import numpy as np
import pytest
from benchmarks.formats.others import FORMATS, files, properties
from benchmarks.formats.tables import of_others
from PIL import Image

from segexp.data.files.images import read_image, read_mask, read_pages, stored_facts

REFUSED = {("12 bits", "JPEG"), *(("several images", kind) for kind in ("PNG", "GIF", "WebP", "PNM", "NumPy, zip"))}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_property_is_read_alike_or_refused_with_a_reason(kind, tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text().splitlines()
    head = next(line for line in page if "| WebP | BMP |" in line)
    column = [cell.strip() for cell in head.split("|")].index(kind)
    for name, kept in properties().items():
        outcomes = of_others(name, kept, kind, tmp_path)
        row = next(line for line in page if line.startswith(f"| {name} |") and line.count("|") == head.count("|"))
        assert row.split("|")[column].strip().partition(" (")[0] == _cell(outcomes), name
        assert all(found.startswith("refused: " if (name, kind) in REFUSED else "read") for found in outcomes), name


def _cell(outcomes: list[str]) -> str:
    if not outcomes:
        return "–"
    return "refused" if outcomes[0].startswith("refused") else f"read {len(outcomes)}"


def test_palettes_of_masks(tmp_path):
    for kind in ("PNG", "BMP", "GIF"):
        kept = properties()["palette"]
        (path,) = files("palette", kept, kind, tmp_path)
        np.testing.assert_array_equal(read_mask(path), kept.stored)
        assert stored_facts(path)["palette"][:4] == ["#000000", "#c80000", "#0063fa", "#ffff00"]
        gray = properties()["gray palette"]
        (path,) = files("gray palette", gray, kind, tmp_path)
        np.testing.assert_array_equal(read_mask(path), gray.stored if kind == "PNG" else gray.shown)


def test_the_content_counts_and_not_the_suffix(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9), dtype=np.uint8)
    for kind in ("PNG", "TIFF", "BMP", "GIF", "PPM"):
        for suffix in (".png", ".tif", ".npy"):
            Image.fromarray(pixels).save(tmp_path / f"a{suffix}", kind)
            np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}", 1)[0], pixels)


def test_a_flipped_bit_anywhere_in_a_png_is_found(tmp_path):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG", dpi=(300, 300))
    whole, path = buffer.getvalue(), tmp_path / "a.png"
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.png cannot be read"):
            read_image(path, 1)


def test_pictures_behind_a_photograph_are_told(tmp_path):
    """Cameras put previews there; frames of a film are refused instead, see the table."""
    pixels = np.full((16, 24, 3), 77, dtype=np.uint8)
    behind = [Image.fromarray(pixels + 9)]
    Image.fromarray(pixels).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=behind)
    assert read_image(tmp_path / "a.jpg", 3).max() <= 80
    assert stored_facts(tmp_path / "a.jpg")["left_out"] == ["1 more images behind the photograph"]


def test_exif_of_a_photograph_is_undone_and_told(tmp_path):
    exif = Image.Exif()
    exif[274] = 8
    shown = np.tile(np.arange(0, 240, 6, dtype=np.uint8), (24, 1))
    Image.fromarray(np.rot90(shown, -1)).save(tmp_path / "a.jpg", quality=98, exif=exif)
    assert np.abs(read_image(tmp_path / "a.jpg", 1)[0].astype(int) - shown).max() <= 4
    assert stored_facts(tmp_path / "a.jpg")["orientation"] == 8
    assert read_pages(tmp_path / "a.jpg", 3).shape == (3, 24, 40)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"P5 2 2 70000\n" + bytes(8), "cannot be read"),
        (b"P2 2 2 300\n1 2 3", "not enough image data"),
        (b"P2 2 2 300\n1 2 3 301", "Channel value too large"),
        (b"P5 2 2 300\n" + bytes(7), "cannot be read"),
        (b"P5 2 2 300\n" + b"\1\55" * 4, "it holds 301, above the largest value 300"),
        (b"P5 2 2 255\n" + bytes(4) + b"P5 2 2 255\n" + bytes(4), "data follow its image"),
        (b"GIF89a", "cannot be read"),
        (b"", "it is empty"),
        (b"no image", "it is none of TIFF, NumPy, BMP"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "it is a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "it is a web page"),
        (bytes(128) + b"DICM" + bytes(9), "it is DICOM"),
    ],
)
def test_damaged_files_are_refused(content, reason, tmp_path):
    (tmp_path / "a.pgm").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.pgm .*{reason}"):
        read_image(tmp_path / "a.pgm", 1)
