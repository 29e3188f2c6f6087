"""NumPy files as images, masks and stacks."""

import numpy as np
import pytest

from segexp.data.files.images import read_image, read_mask, read_pages, read_stack, stored_facts


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_arrays_are_images_colors_or_pages_by_their_shape(tmp_path):
    for suffix, save in ((".npy", np.save), (".npz", np.savez_compressed)):
        path = tmp_path / f"a{suffix}"
        save(path, noise(8, 9))
        np.testing.assert_array_equal(read_image(path, 1)[0], noise(8, 9))
        np.testing.assert_array_equal(read_mask(path), noise(8, 9))
        save(path, noise(8, 9, 1))
        np.testing.assert_array_equal(read_image(path, 1)[0], noise(8, 9, 1)[..., 0])
        save(path, noise(8, 9, 3))
        np.testing.assert_array_equal(read_image(path, 3), noise(8, 9, 3).transpose(2, 0, 1))
        save(path, noise(4, 8, 9))
        np.testing.assert_array_equal(read_stack(path), noise(4, 8, 9))
        assert stored_facts(path) == {"format": "NumPy", "bits": 8, "axes": "IYX"}
        with pytest.raises(ValueError, match="it has 4 pages where one is expected"):
            read_image(path, 1)


def test_a_plain_array_stays_in_its_file(tmp_path):
    np.save(tmp_path / "a.npy", noise(8, 9))
    found = read_pages(tmp_path / "a.npy", 1, mapped=True)
    assert not found.flags.owndata
    assert not found.flags.writeable  # a file that is only read
    mask = read_mask(tmp_path / "a.npy")
    assert not isinstance(mask, np.memmap)
    assert mask.flags.writeable


def test_what_is_no_image_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    for array, reason in (
        (noise(2, 3, 8, 9), r"its shape \(2, 3, 8, 9\) is neither"),
        (noise(7), "its shape"),
        (noise(0, 9), r"it has no pixels \(axes YX of 0×9\)"),
        (np.array([[1j]]), "it holds complex128 values"),
        (np.array([[{}]]), "allow_pickle=False"),
    ):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(ValueError, match=rf"a\.npy cannot be read \(.*{reason}"):
            read_image(path, 1)


def test_a_second_array_behind_the_first_is_not_dropped(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.save(file, noise(8, 9))
        np.save(file, noise(8, 9))
    for mapped in (False, True):
        with pytest.raises(ValueError, match=r"a\.npy .*data follow its array, such as a second one"):
            read_pages(path, 1, mapped)


def test_the_checksum_of_zip_is_compared(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, noise(30, 30))
    whole = path.read_bytes()
    for place in range(200, 900, 50):
        data = bytearray(whole)
        data[place] ^= 4
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.npz cannot be read \(Bad CRC"):
            read_image(path, 1)
