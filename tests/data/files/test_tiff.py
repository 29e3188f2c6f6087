"""TIFF files mean the same whatever their codec, layout and writer; nothing in them is dropped."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from benchmarks.formats.tables import of_tiff, outcome
from benchmarks.formats.tiff import CODECS, GRAY, RGB, files, properties

from segexp.data.files.images import read_image, read_mask, read_pages, read_stack, stored_facts

STACK = np.random.default_rng(0).integers(0, 256, (5, 12, 16), dtype=np.uint8)


@pytest.mark.parametrize("codec", CODECS)
def test_every_property_is_read_alike(codec, tmp_path):
    """A third of all files: each property and layout, but not every pair of them."""
    found = 0
    for place, (name, kept) in enumerate(properties().items()):
        start, step = (0, 1) if codec.startswith("CCITT") else (place % 3, 3)
        for what, path, pages in files(name, kept, codec, tmp_path, start, step):
            found += 1
            assert outcome(path, kept, pages, 12 if codec == "JPEG" else 0) == "read", (name, what)
    assert found >= 2


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_the_table_of_the_page_says_what_happens(codec, tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text().splitlines()
    head = next(line for line in page if "| LZW | deflate |" in line)
    column = [cell.strip() for cell in head.split("|")].index(codec)
    for name, kept in properties().items():
        row = next(line for line in page if line.startswith(f"| {name} |") and line.count("|") == head.count("|"))
        outcomes = of_tiff(name, kept, codec, tmp_path)
        expected = f"read {len(outcomes)}" if outcomes else "–"
        assert row.split("|")[column].strip() == expected, name


def test_an_imagej_stack_with_one_ifd_has_all_its_slices(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", STACK, imagej=True, truncate=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(tmp_path / "s.tif") as file:
        assert len(file.pages) == 1
    np.testing.assert_array_equal(read_stack(tmp_path / "s.tif"), STACK)
    np.testing.assert_array_equal(read_pages(tmp_path / "s.tif", 1, mapped=True)[0], STACK)
    assert stored_facts(tmp_path / "s.tif")["axes"] == "ZYX"
    with pytest.raises(ValueError, match=r"s\.tif .*axes ZYX of 5×12×16, a stack in depth, where one image"):
        read_image(tmp_path / "s.tif", 1)


def test_axes_of_hyperstacks_are_understood_or_named(tmp_path):
    path = tmp_path / "h.tif"
    channels = STACK[:4].reshape(2, 2, 12, 16)
    tifffile.imwrite(path, channels, imagej=True, metadata={"axes": "ZCYX"})
    np.testing.assert_array_equal(read_pages(path, 2), channels.swapaxes(0, 1))
    with pytest.raises(ValueError, match=r"2 channels \(axes CZYX|2 channels \(axes ZCYX of 2×2×12×16\) where 1 is"):
        read_pages(path, 1)
    tifffile.imwrite(path, STACK[:3], imagej=True, metadata={"axes": "CYX"})
    np.testing.assert_array_equal(read_image(path, 3), STACK[:3])
    with pytest.raises(ValueError, match=r"it has 3 channels \(axes CYX of 3×12×16\) where 1 is expected"):
        read_image(path, 1)
    colors = np.stack([RGB, RGB[::-1]])
    tifffile.imwrite(path, colors, imagej=True)  # axes CYXS
    np.testing.assert_array_equal(read_pages(path, 3), colors.transpose(3, 0, 1, 2))
    tifffile.imwrite(path, STACK[None, :, None].repeat(2, 0), imagej=True, metadata={"axes": "TZCYX"})
    for read in (lambda: read_pages(path, 1), lambda: read_image(path, 1), lambda: read_stack(path)):
        with pytest.raises(ValueError, match=r"axes TZYX of 2×5×12×16"):
            read()


def test_a_pyramid_gives_its_full_resolution_and_names_the_rest(tmp_path):
    path = tmp_path / "p.ome.tif"
    large = np.kron(RGB, np.ones((4, 4, 1), np.uint8))
    with tifffile.TiffWriter(path, ome=True) as writer:
        options = {"photometric": "rgb", "tile": (64, 64), "compression": "jpeg2000"}
        writer.write(large, subifds=2, metadata={"axes": "YXS"}, **options)
        for step in (2, 4):
            writer.write(large[::step, ::step], subfiletype=1, **options)
    assert read_image(path, 3).shape == (3, *large.shape[:2])
    assert stored_facts(path)["left_out"] == ["2 smaller copies (levels of a pyramid)"]
    path = tmp_path / "q.tif"
    tifffile.imwrite(path, large, photometric="rgb", metadata=None)
    tifffile.imwrite(path, GRAY[:9, :7], photometric="minisblack", subfiletype=1, metadata=None, append=True)
    assert read_image(path, 3).shape == (3, *large.shape[:2])
    assert stored_facts(path)["left_out"] == ["a copy or mask 9×7"]


def test_several_images_are_refused_by_what_they_are(tmp_path):
    path = tmp_path / "m.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(STACK[0], metadata={"Name": "left"})
        writer.write(STACK[1], metadata={"Name": "right"})
    with pytest.raises(ValueError, match=r"2 kinds: left 12×16 \(YX\), right 12×16 \(YX\)"):
        read_stack(path)
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK[0], subifds=1)
        writer.write(STACK[1])
    with pytest.raises(ValueError, match=r"m\.tif .*2 kinds"):
        read_image(path, 1)


def test_pages_of_several_codecs_are_one_stack(tmp_path):
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as writer:
        ways = ({}, {"compression": "lzw"}, {"tile": (16, 16)}, {}, {"compression": "zlib"})
        for page, options in zip(STACK, ways, strict=True):
            writer.write(page, metadata=None, photometric="minisblack", **options)
        writer.write(255 - STACK[0], metadata=None, photometric="miniswhite")
    np.testing.assert_array_equal(read_stack(path), [*STACK, STACK[0]])


def test_the_orientation_of_the_first_page_counts_for_pages_without_one(tmp_path):
    tags = {"once": [(274, "H", 1, 6, True)], "each": [(274, "H", 1, 6, False)]}
    for name, extratags in tags.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", STACK, photometric="minisblack", extratags=extratags)
        for mapped in (False, True):
            found = read_pages(tmp_path / f"{name}.tif", 1, mapped)[0]
            np.testing.assert_array_equal(found, np.rot90(STACK, -1, axes=(1, 2)))


def test_few_bits_of_color_are_spread(tmp_path):
    tifffile.imwrite(tmp_path / "c.tif", RGB >> 4, photometric="rgb", bitspersample=4)
    np.testing.assert_array_equal(read_image(tmp_path / "c.tif", 3), (RGB >> 4).transpose(2, 0, 1) * 17)


def test_samples_that_are_no_colors_are_channels(tmp_path):
    path, many = tmp_path / "c.tif", STACK.transpose(1, 2, 0)
    tifffile.imwrite(path, many, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read_image(path, 5), STACK)
    tifffile.imwrite(path, STACK[:4], photometric="rgb", planarconfig="separate", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read_image(path, 4), STACK[:4])
    for channels in (1, 3):
        with pytest.raises(ValueError, match=r"it has 4 channels \(axes CYX of 4×12×16\) where"):
            read_image(path, channels)
    with pytest.raises(ValueError, match=r"mask .*c\.tif has channels \(axes CYX of 4×12×16\)"):
        read_mask(path)


def test_twelve_bits_are_packed_alike_under_both_orders_of_bytes(tmp_path):
    """By hand, since tifffile swaps the bytes of packed values: 1, 2, 0xabc, 0x123."""
    for order, mark in (("<", b"II*\0"), (">", b"MM\0*")):
        entries = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 6)]
        tags = b"".join(struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
        data = mark + struct.pack(f"{order}I", 14) + bytes.fromhex("001002abc123")
        (tmp_path / "t.tif").write_bytes(data + struct.pack(f"{order}H", len(entries)) + tags + bytes(4))
        assert read_image(tmp_path / "t.tif", 1).tolist() == [[[1, 2, 0xABC, 0x123]]]


def without_tag(path: Path, code: int) -> None:
    """Overwrite the code of a tag of the first page with one that nobody knows."""
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.tags[code].offset
    data = bytearray(path.read_bytes())
    data[offset : offset + 2] = struct.pack("<H", 64999)
    path.write_bytes(data)


def test_a_missing_photometric_interpretation_is_what_libtiff_takes(tmp_path):
    for pixels, channels in ((STACK[0], 1), (RGB, 3)):
        path = tmp_path / "p.tif"
        tifffile.imwrite(path, pixels, photometric="rgb" if channels == 3 else "minisblack")
        without_tag(path, 262)
        expected = pixels.transpose(2, 0, 1) if channels == 3 else pixels[None]
        np.testing.assert_array_equal(read_image(path, channels), expected)


def test_strips_that_are_not_in_the_file_are_no_zeros(tmp_path):
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, STACK[0], rowsperstrip=4, compression="zlib")
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags[279]
    data = bytearray(path.read_bytes())
    size = {3: 2, 4: 4}[tag.dtype]
    data[tag.valueoffset : tag.valueoffset + size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"s\.tif cannot be read \(1 of its strips or tiles are not in the file\)"):
        read_image(path, 1)


def test_metadata_that_lead_to_other_files_are_refused(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK[:2], ome=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    entry = '<TiffData IFD="{0}" FirstZ="{0}" PlaneCount="1"><UUID FileName="{1}.tif">urn:uuid:{1}</UUID></TiffData>'
    start, end = xml.index("<TiffData"), xml.index("</Pixels>")
    spread = xml[:start] + entry.format(0, "a") + entry.format(1, "b") + xml[end:]
    tifffile.imwrite(path, STACK[:2], description=spread, metadata=None)
    with pytest.raises(ValueError, match=r"spread the image over 2 files, such as a\.tif, b\.tif"):
        read_stack(path)


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack", "metadata": None},
        {"photometric": "minisblack", "metadata": None, "compression": "zlib"},
        {"photometric": "minisblack"},
        {"imagej": True},
        {"imagej": True, "truncate": True},
        {"ome": True, "metadata": {"axes": "ZYX"}},
    ],
    ids=str,
)
def test_no_page_is_lost_with_the_end_of_a_file(options, tmp_path):
    """Tifffile alone reads on with the pages that are left."""
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, STACK, **options)
    whole = path.read_bytes()
    for length in range(9, len(whole), len(whole) // 50):
        path.write_bytes(whole[:length])
        try:
            found = read_stack(path)
        except ValueError as error:
            reason = str(error)
        else:  # of what is behind the last pixel, nothing is needed
            reason = "s.tif" if np.array_equal(found, STACK) else f"{found.shape} of {length} bytes"
        assert "s.tif" in reason


def test_a_circle_of_pages_is_refused(tmp_path):
    path = tmp_path / "c.tif"
    tifffile.imwrite(path, STACK[:2], metadata=None, photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        first, last = (page.offset for page in file.pages)
    data = bytearray(path.read_bytes())
    entries = struct.unpack_from("<H", data, last)[0]
    struct.pack_into("<I", data, last + 2 + 12 * entries, first)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"c\.tif .*damaged or cut off: invalid circular reference"):
        read_stack(path)


@pytest.mark.parametrize("codec", ["zlib", "lerc"])
def test_codecs_with_a_checksum_find_a_turned_bit(codec, tmp_path):
    path = tmp_path / "c.tif"
    tifffile.imwrite(path, np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32), compression=codec)
    with tifffile.TiffFile(path) as file:
        start, length = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
    whole = path.read_bytes()
    for place in range(start, start + length, length // 40):
        data = bytearray(whole)
        data[place] ^= 16
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"c\.tif cannot be read"):
            read_image(path, 1)
