"""Nuclei: the index, errors, and the real data where SEGEXP_DATA_DIR is set."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label

from segexp.config import compose, plain
from segexp.data.sources import Nuclei
from tests.data.sources import names

TOUCHING = np.array([[0, 1, 1, 1, 2, 2, 2, 0]] * 3 + [[0] * 8] * 2)
LABELS = {"b2": TOUCHING, "a10": np.full((4, 6), 300)}
HEAD = "image_id,stratum,height,width,nuclei,foreground_fraction\n"
ROWS = {"b2": "b2,fluo,5,8,2,0.45\n", "a10": "a10,color,4,6,1,1.0\n"}


@pytest.fixture
def root(tmp_path):
    """Make two images, one of them with two nuclei that touch."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name, instances in LABELS.items():
        rgba = np.zeros((*instances.shape, 4), dtype=np.uint8)
        rgba[..., :3], rgba[..., 3] = (1, 2, 3), 255
        Image.fromarray(rgba).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(instances.astype(np.uint16)).save(tmp_path / "labels" / f"{name}.png")
    (tmp_path / "index.csv").write_text(HEAD + "".join(ROWS.values()))
    return tmp_path


def test_cases_come_in_the_order_of_the_index_with_their_kind(root):
    source = Nuclei(root)
    source.prepare()
    assert [(entry.name, entry.stratum) for entry in source.entries()] == [("b2", "fluo"), ("a10", "color")]
    case = source.read("b2")
    np.testing.assert_array_equal(case.image[:, 0, 0], [1, 2, 3])  # alpha is dropped
    assert case.image.shape == (3, 5, 8)
    assert case.target.dtype == np.uint8
    np.testing.assert_array_equal(case.target, TOUCHING > 0)
    np.testing.assert_array_equal(case.instances, TOUCHING)
    assert case.instances.dtype == np.int32
    assert source.read("a10").instances.max() == 1
    assert Nuclei(root, instances=False).read("b2").instances is None
    np.testing.assert_array_equal(source.read("a10").target, np.ones((4, 6)))
    assert (case.facts["mask_dtype"], case.facts["mask_values"]) == ("uint16", {0: 22, 1: 9, 2: 9})
    assert case.facts["mask_stored"] == {"format": "PNG", "bits": 16, "axes": "YX"}
    assert [file.parent.name for file in case.files] == ["images", "labels"]


def test_border_between_touching_nuclei_by_hand(root):
    expected = [
        [0, 2, 1, 2, 2, 1, 2, 0],
        [0, 2, 1, 2, 2, 1, 2, 0],
        [0, 2, 2, 2, 2, 2, 2, 0],  # background lies below
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    case = Nuclei(root, border_width=1).read("b2")
    np.testing.assert_array_equal(case.target, expected)
    np.testing.assert_array_equal(case.instances, np.where(np.equal(expected, 1), TOUCHING, 0))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (HEAD, "index.csv lacks rows or the columns"),
        ("image_id,stratum\nb2,fluo\n", "lacks rows or the columns height, width, nuclei"),
        (HEAD + ROWS["b2"] * 2, "names 1 images twice"),
        (HEAD + ROWS["b2"], r"index.csv lacks the images a10.png: add a row for each"),
    ],
)
def test_index_that_does_not_fit_the_files(root, index, message):
    (root / "index.csv").write_text(index)
    with pytest.raises(ValueError, match=message):
        Nuclei(root).prepare()


def test_missing_files_are_named_with_the_remedy(root):
    (root / "labels" / "a10.png").unlink()
    remedy = r"put there images/ID.png, labels/ID.png .* BBBC038"
    with pytest.raises(FileNotFoundError, match=rf"lack files that index.csv names: labels/a10.png: {remedy}"):
        Nuclei(root).prepare()
    with pytest.raises(FileNotFoundError, match=rf"index.csv is missing: {remedy}"):
        Nuclei(root / "nowhere").prepare()


def test_what_is_refused(root):
    with pytest.raises(ValueError, match="border_width=-1 must be an integer of at least 0"):
        Nuclei(root, -1)
    with pytest.raises(ValueError, match=r"index.csv has no image 'a1' \(did you mean 'a10'\?\)"):
        Nuclei(root).read("a1")
    (root / "index.csv").write_text(HEAD + "b2,fluo,5,8,3,0.45\n")
    with pytest.raises(ValueError, match=r"b2.png has height, width and nuclei \(5, 8, 2\), index.csv says .*'3'"):
        Nuclei(root).read("b2")


@pytest.mark.parametrize("option", ["nuclei", "nuclei_border"])
def test_classes_of_the_configuration_are_those_of_the_source(root, option):
    config = plain(compose([f"data={option}", "name=test"], run_dir="unused"))["data"]
    case = Nuclei(root, config["source"]["border_width"]).read("b2")
    assert case.target.max() + 1 == config["labels"]["num_classes"] == len(config["labels"]["class_names"])
    assert config["channels"] == len(case.image)


@pytest.mark.skipif("SEGEXP_DATA_DIR" not in os.environ, reason="SEGEXP_DATA_DIR is not set: no real data")
def test_real_nuclei_are_counted_where_a_border_parts_them():
    root = Path(os.environ["SEGEXP_DATA_DIR"]) / "dsb2018_nuclei"
    if not root.is_dir():
        pytest.skip(f"{root} is missing")
    whole, parted = Nuclei(root), Nuclei(root, border_width=1)
    whole.prepare()
    nuclei, pieces, pieces_parted, foreground = 0, 0, 0, []
    for name in names(whole):
        cases = whole.read(name), parted.read(name)
        masks = Image.open(root / "masks" / f"{name}.png")  # the publisher's, merged
        np.testing.assert_array_equal(cases[0].target, np.array(masks) == 255)
        nuclei += len(cases[0].facts["mask_values"]) - 1
        pieces += label(cases[0].target == 1, connectivity=1).max()
        pieces_parted += label(cases[1].target == 1, connectivity=1).max()
        foreground.append(cases[0].target.mean())
    assert len(foreground) == 60
    assert nuclei == 1944
    assert pieces < 1650  # nuclei touch
    assert abs(pieces_parted - nuclei) < 0.01 * nuclei
    assert np.mean(foreground) == pytest.approx(0.123, abs=0.001)
