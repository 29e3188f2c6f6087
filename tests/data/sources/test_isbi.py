"""ISBI 2012 in both layouts, its download, its errors, and the real data where SEGEXP_DATA_DIR is set."""

import hashlib
import os
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segexp.data.sources import ISBI, isbi
from segexp.data.sources.isbi import URL
from tests.data.sources import names
from tests.data.sources.server import serving

NAMES = [f"slice_{index:02d}" for index in range(30)]


@pytest.fixture
def volume():
    return np.random.default_rng(0).integers(0, 256, (30, 12, 10), dtype=np.uint8)


@pytest.fixture
def labels():
    return np.random.default_rng(1).integers(0, 2, (30, 12, 10), dtype=np.uint8) * 255


def save_stacks(root: Path, volume: np.ndarray, labels: np.ndarray) -> None:
    tifffile.imwrite(root / "train-volume.tif", volume, compression="zlib", predictor=True)
    tifffile.imwrite(root / "train-labels.tif", labels, compression="zlib")


def save_slices(root: Path, volume: np.ndarray, labels: np.ndarray, suffix: str = ".png") -> None:
    for kind, stack in [("image", volume), ("label", labels)]:
        (root / "train" / kind).mkdir(parents=True)
        for index, page in enumerate(stack):
            Image.fromarray(page).save(root / "train" / kind / f"{index}{suffix}")


@pytest.mark.parametrize("layout", ["stacks", ".png", ".tif"])
def test_both_layouts(tmp_path, volume, labels, layout):
    if layout == "stacks":
        save_stacks(tmp_path, volume, labels)
    else:
        save_slices(tmp_path, volume, labels, layout)
    source = ISBI(tmp_path, download=False)
    source.prepare()
    assert names(source) == NAMES
    for index in (2, 10, 29):
        case = source.read(NAMES[index])
        assert case.name == NAMES[index]
        assert case.target.dtype == np.uint8
        np.testing.assert_array_equal(case.image, volume[index][None])
        np.testing.assert_array_equal(case.target, np.where(labels[index] == 0, 1, 0))
        assert (case.spacing, case.spacing_unit) == ((4.0, 4.0), "nm")
        assert all(path.is_file() for path in case.files)
        counts = {255: int((labels[index] == 255).sum()), 0: int((labels[index] == 0).sum())}
        assert (case.facts["mask_dtype"], case.facts["mask_values"]) == ("uint8", counts)
        assert case.facts["mask_stored"]["format"] in ("PNG", "TIFF")


def test_a_changed_case_does_not_change_the_next_read(tmp_path, volume, labels):
    save_stacks(tmp_path, volume, labels)
    source = ISBI(tmp_path)
    case = source.read("slice_03")
    case.image[:] = 0
    case.target[:] = 0
    np.testing.assert_array_equal(source.read("slice_03").image[0], volume[3])
    assert source.read("slice_03").target.any()


def test_unknown_case(tmp_path):
    with pytest.raises(ValueError, match=r"name='slice_30' is not one of .*did you mean 'slice_"):
        ISBI(tmp_path).read("slice_30")


def test_stack_of_wrong_length(tmp_path, volume, labels):
    save_stacks(tmp_path, volume[:12], labels)
    with pytest.raises(ValueError, match=r"train-volume\.tif has 12 pages where 30 are expected"):
        ISBI(tmp_path).read("slice_00")


def test_sizes_that_differ(tmp_path, volume, labels):
    save_stacks(tmp_path, volume, labels[:, :5])
    with pytest.raises(ValueError, match=r"train-volume\.tif is 12×10 .*train-labels\.tif is 5×10"):
        ISBI(tmp_path).read("slice_00")


def test_gray_in_the_labels(tmp_path, volume, labels):
    labels[4, 0, 0] = 128
    save_slices(tmp_path, volume, labels)
    with pytest.raises(ValueError, match=r"4\.png has values without a class: 128 \(declared are 0, 255\)"):
        ISBI(tmp_path).read("slice_04")


def test_without_download_it_says_what_to_put_where(tmp_path):
    with pytest.raises(FileNotFoundError, match="download is off") as caught:
        ISBI(tmp_path / "isbi2012", download=False).prepare()
    for word in [
        str(tmp_path / "isbi2012"),
        "train-volume.tif and train-labels.tif",
        "train/image/0.png",
        "and 57 more",
    ]:
        assert word in str(caught.value)
    assert "data=synthetic works meanwhile" in str(caught.value)
    assert not (tmp_path / "isbi2012").exists()


def test_one_stack_alone_lacks_the_other(tmp_path, volume, labels):
    save_stacks(tmp_path, volume, labels)
    (tmp_path / "train-labels.tif").unlink()
    with pytest.raises(FileNotFoundError, match=r"missing are train-labels\.tif, of"):
        ISBI(tmp_path, download=False).prepare()


def test_a_missing_slice_is_named(tmp_path, volume, labels):
    save_slices(tmp_path, volume, labels)
    (tmp_path / "train" / "label" / "7.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"missing are train/label/7\.png, of"):
        ISBI(tmp_path, download=False).prepare()


def test_without_network_it_says_so_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(isbi, "fetch_all", partial(isbi.fetch_all, wait=lambda seconds: None))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(FileNotFoundError, match=r"refused.*train-volume\.tif.*data=synthetic works meanwhile"):
        ISBI(tmp_path, url=url).prepare()


@pytest.fixture
def served(tmp_path):
    """Serve tmp_path/server; returns the URL."""
    with serving(tmp_path / "server") as url:
        yield url


def test_download_puts_the_slices_where_they_are_read(tmp_path, volume, labels, served, monkeypatch):
    """As the pinned list, but with the hashes of the slices served here."""
    save_slices(tmp_path / "server" / "data" / "membrane", volume, labels)
    wanted = []
    for file in isbi._remote_files(served)[:60]:  # those with labels
        data = (tmp_path / "server" / file.url.removeprefix(served)).read_bytes()
        wanted.append(replace(file, sha256=hashlib.sha256(data).hexdigest(), size=len(data)))
    monkeypatch.setattr(isbi, "_remote_files", lambda url: wanted)
    source = ISBI(tmp_path / "here", url=served)
    source.prepare()
    monkeypatch.setattr(isbi, "fetch_all", None)
    source.prepare()  # all is there
    case = source.read("slice_17")
    np.testing.assert_array_equal(case.image[0], volume[17])
    np.testing.assert_array_equal(case.target, labels[17] == 0)


def test_the_pinned_list_covers_all_slices():
    files = isbi._remote_files(URL)
    assert len({file.sha256 for file in files}) == 90
    assert {file.path for file in files} == {
        f"{kind}/{index}.png" for kind in ("train/image", "train/label", "test") for index in range(30)
    }
    assert all(file.url.startswith("https://raw.githubusercontent.com/zhixuhao/unet/b45af4d4") for file in files)
    assert sum(file.size for file in files) == 12_840_848


@pytest.mark.skipif("SEGEXP_DATA_DIR" not in os.environ, reason="SEGEXP_DATA_DIR is not set")
def test_real_data():
    source = ISBI(Path(os.environ["SEGEXP_DATA_DIR"]) / "isbi2012", download=False)
    source.prepare()
    cases = [source.read(name) for name in names(source)]
    assert len(cases) == 30
    assert {case.image.shape for case in cases} == {(1, 512, 512)}
    assert {case.target.shape for case in cases} == {(512, 512)}
    share = np.array([case.target.mean() for case in cases])
    assert share.mean() == pytest.approx(0.2196, abs=5e-5)
    assert (share.argmin(), share.argmax()) == (29, 5)
    gray = [np.mean([case.image[0][case.target == index].mean() for case in cases]) for index in (1, 0)]
    assert gray == pytest.approx([95, 147], abs=12), "membranes are darker than the interior"
