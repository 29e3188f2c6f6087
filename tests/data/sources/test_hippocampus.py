"""The hippocampus set that downloads itself: from a server of this machine, with volumes made here."""

import hashlib
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segexp.build import build_data
from segexp.config import compose, plain
from segexp.data.sources import Decathlon, HippocampusFiles, hippocampus
from tests.data.sources.server import serving


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve two volumes and their labels under the paths of the pinned list, with hashes of their own; give the URL."""
    wanted = hippocampus._remote_files("")
    wanted = [file for file in wanted if file.path.endswith(("_001.nii.gz", "_003.nii.gz"))]
    kept = []
    for number, file in enumerate(wanted):
        path = tmp_path / "server" / file.url
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.full((4, 5, 6), number % 3, np.uint8), np.eye(4)), path)
        data = path.read_bytes()
        kept.append(replace(file, sha256=hashlib.sha256(data).hexdigest(), size=len(data)))
    monkeypatch.setattr(hippocampus, "_remote_files", lambda url: [replace(file, url=url + file.url) for file in kept])
    with serving(tmp_path / "server") as url:
        yield url


def data_of(tmp_path, monkeypatch, url: str):
    monkeypatch.setenv("SEGEXP_DATA_DIR", str(tmp_path / "here"))
    words = ["name=test", "data=hippocampus", f"data.origin.download.url={url}"]
    return build_data(plain(compose(words, run_dir=tmp_path / "run")))


def test_what_is_missing_is_downloaded_and_read(tmp_path, served, monkeypatch):
    data = data_of(tmp_path, monkeypatch, served)
    first = tmp_path / "here" / "Task04_Hippocampus" / "imagesTr" / "hippocampus_001.nii.gz.part"
    first.parent.mkdir(parents=True)
    whole = (tmp_path / "server" / "data" / "TrainingSet" / "images" / "hippocampus_001.nii.gz").read_bytes()
    first.write_bytes(whole[:20])  # a download that broke off
    data.prepare_data()
    assert [entry.name for entry in data.source.entries()] == ["hippocampus_001", "hippocampus_003"]
    assert data.source.read("hippocampus_003").image.max() == 1
    monkeypatch.setattr(hippocampus, "fetch_all", None)
    data.prepare_data()  # all is there


def test_another_copy_stays_as_it_is(tmp_path, served, monkeypatch):
    folder = tmp_path / "here" / "Task04_Hippocampus"
    HippocampusFiles(served)(folder)
    lost = folder / "labelsTr" / "hippocampus_003.nii.gz"
    lost.unlink()
    message = (
        r"missing are labelsTr/hippocampus_003\.nii\.gz: .*is of another copy.*medicaldecathlon\.com.*CC-BY-SA 4\.0"
    )
    with pytest.raises(FileNotFoundError, match=message):
        data_of(tmp_path, monkeypatch, served).prepare_data()
    assert not lost.exists()


def test_without_network_it_says_why_and_what_to_do(tmp_path, served, monkeypatch):
    monkeypatch.setattr(hippocampus, "fetch_all", partial(hippocampus.fetch_all, wait=lambda seconds: None))
    with pytest.raises(
        FileNotFoundError, match=r"dataset\.json is not there.*\(download: .*404.*\); get the data set from"
    ):
        data_of(tmp_path, monkeypatch, f"{served}gone/").prepare_data()


def test_the_pinned_list_covers_all_volumes():
    files = hippocampus._remote_files(hippocampus.URL)
    assert len({file.sha256 for file in files}) == 520
    assert sum(file.size for file in files) == 18_961_461
    assert {file.path.partition("/")[0] for file in files} == {"imagesTr", "labelsTr"}
    assert "/895fee683624aafe2033521f4d9b6d99accd66d5/data/TrainingSet/images/" in files[0].url


@pytest.mark.skipif("SEGEXP_DATA_DIR" not in os.environ, reason="SEGEXP_DATA_DIR is not set: no real data")
def test_the_pinned_list_is_that_of_the_real_files():
    root = Path(os.environ["SEGEXP_DATA_DIR"]) / "Task04_Hippocampus"
    if not root.is_dir():
        pytest.skip(f"{root} is missing")
    files = hippocampus._remote_files(hippocampus.URL)
    assert {entry.name for entry in Decathlon(root).entries()} == {Path(f.path).name.partition(".")[0] for f in files}
    for file in files[::20]:
        assert hashlib.sha256((root / file.path).read_bytes()).hexdigest() == file.sha256
