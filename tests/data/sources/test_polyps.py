"""Polyps are a folder of images and masks: what conf/data/polyps.yaml makes of JPEG masks."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image

from segexp.config import compose, plain
from tests.data.sources import names


def polyps(data_dir):
    config = plain(compose(["data=polyps", "name=test", f"paths.data_dir={data_dir}"], run_dir="unused"))
    return instantiate(config["data"]["source"], _convert_="all")


def test_masks_are_cut_in_the_middle(tmp_path):
    root = tmp_path / "kvasir_seg_subset"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", (32, 8), "red").save(root / "images" / "a.jpg")
    values = np.repeat(np.array([[0, 127, 128, 255]], dtype=np.uint8), 8, axis=0).repeat(8, axis=1)
    Image.fromarray(np.dstack([values] * 3)).save(root / "masks" / "a.jpg", quality=100)
    case = polyps(tmp_path).read("a")
    assert case.image.shape == (3, 8, 32)
    np.testing.assert_array_equal(case.target, values > 127)


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"kvasir_seg_subset/images is not a folder"):
        polyps(tmp_path).prepare()


@pytest.mark.skipif("SEGEXP_DATA_DIR" not in os.environ, reason="SEGEXP_DATA_DIR is not set: no real data")
def test_real_masks_fill_the_published_boxes():
    root = Path(os.environ["SEGEXP_DATA_DIR"]) / "kvasir_seg_subset"
    if not root.is_dir():
        pytest.skip(f"{root} is missing")
    boxes = json.loads((root / "bboxes.json").read_text())
    source = polyps(root.parent)
    source.prepare()
    shares = []
    for name in names(source):
        case = source.read(name)
        rows, columns = np.nonzero(case.target)
        found = {"xmin": columns.min(), "ymin": rows.min(), "xmax": columns.max(), "ymax": rows.max()}
        for edge, position in found.items():
            outermost = min if edge.endswith("min") else max
            assert abs(position - outermost(box[edge] for box in boxes[name]["bbox"])) <= 3
        assert not [value for value in case.facts["mask_values"] if 20 < value < 235]
        shares.append(case.target.mean())
    assert len(shares) == 48
    assert np.mean(shares) == pytest.approx(0.179, abs=0.001)
