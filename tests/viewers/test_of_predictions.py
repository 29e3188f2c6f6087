"""Folders as ``segexp predict`` leaves them: masks in all formats, on the images that they were made of."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from segexp.data.files.writing import in_file_axes
from segexp.prediction import Segmenter, Settings
from segexp.prediction.formats import FORMATS
from segexp.prediction.inputs import find_inputs, read_input
from segexp.prediction.legend import shown_of
from segexp.prediction.outputs import outputs_of, write_outputs
from segexp.prediction.record import PredictionRecord
from segexp.viewers.of_predictions import open_predictions
from tests.data.files.test_volumes import DIRECTIONS, affine_of
from tests.prediction.models import make_model

CLASSES = {"classes": 3, "class_names": ["ground", "a", "b"], "label_values": [0, 7, 40]}
REGIONS = {"regions": {"whole": [1], "core": [1]}, "activation": "sigmoid"}
RNG = np.random.default_rng(0)


def source(folder: Path, kind: str) -> Path:
    folder.mkdir()
    if kind == "volume":
        values = RNG.integers(0, 900, (4, 5, 6), dtype=np.int16)
        nib.save(nib.Nifti1Image(values, affine_of(DIRECTIONS["LAI"])), folder / "scan.nii.gz")
        return folder / "scan.nii.gz"
    Image.fromarray(RNG.integers(0, 255, (5, 6), np.uint8)).save(folder / "scan.png")
    return folder / "scan.png"


def predicted(
    tmp_path: Path,
    kind: str,
    form: str,
    classes: dict[str, Any],
    endings: Sequence[str] = ("0", "1"),
    std: np.ndarray | None = None,
) -> tuple[Path, np.ndarray, np.ndarray]:
    """Write random labels and probabilities as the command does; return folder, labels, probabilities."""
    path, out = source(tmp_path / "scans", kind), tmp_path / "out"
    out.mkdir()
    description = make_model(**classes).description
    (item,) = find_inputs(str(path))
    case = read_input(item, 1)
    size = case.image.shape[1:]
    labels = RNG.random((2, *size)) > 0.5 if "regions" in classes else RNG.choice([0, 7, 40], size).astype(np.uint8)
    probs = RNG.random((len(description.output_names), *size)).astype(np.float16)
    np.save(out / "scan_probabilities.npy", in_file_axes(probs, case))
    mask_format = FORMATS[form]
    count = 2 if "regions" in classes and not mask_format.joined else 1
    masks = [Path(f"scan_{end}{mask_format.suffix(path, description)}") for end in endings[:count]]
    mask_format.write_all(labels, case, [out / mask for mask in masks], description)
    record = PredictionRecord(out, {"spacing": None}, shown_of(description, mask_format.legend(description)))
    maps = [Path("scan_probabilities.npy")]
    if std is not None:
        tifffile.imwrite(out / "scan_std.tif", std)
        maps.append(Path("scan_std.tif"))
    files = {name: out / name for name in (*maps, *masks)}
    record.note("scan", "digest", files, None, item.files, masks)
    return out, labels, probs


@pytest.mark.parametrize("classes", [CLASSES, REGIONS], ids=["classes", "regions"])
@pytest.mark.parametrize(
    ("kind", "form"), [("volume", "auto"), ("volume", "seg.nrrd"), ("image", "auto"), ("image", "imagej")]
)
def test_image_mask_and_probabilities_lie_on_each_other(kind, form, classes, tmp_path):
    out, labels, probs = predicted(tmp_path, kind, form, classes)
    gallery = open_predictions(out, [])
    assert gallery.names == ("scan",)
    view = gallery.load("scan")
    assert np.array_equal(view.labels, labels)
    assert np.array_equal(view.probabilities, probs)
    assert np.array_equal(view.image, read_input(find_inputs(str(tmp_path / "scans"))[0], 1).image)
    assert view.truth is None
    assert view.unit == ("mm" if kind == "volume" else "px")
    assert [(one.name, one.value) for one in view.segments] == (
        [("whole", 1), ("core", 1)] if classes is REGIONS else [("a", 7), ("b", 40)]
    )


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_uncertainty_lies_on_the_image_unless_it_was_removed(kind, tmp_path):
    path, out = source(tmp_path / "scans", kind), tmp_path / "out"
    deep: dict[str, Any] = {"network": {"spatial_dims": 3}, "spatial_dims": 3, "patch_size": [8, 8, 8]}
    deep["inference"] = {"tile": 8, "overlap": 0.5, "border": "auto", "blending": "gaussian", "batch_size": 2}
    segmenter = Segmenter([make_model(**deep if kind == "volume" else {})], Settings(uncertainty=True))
    (item,) = find_inputs(str(path))
    case = read_input(item, 1)
    outputs = outputs_of(item, segmenter, overlay=False)
    maps = replace(segmenter(case), std=RNG.random(case.image.shape[1:]).astype(np.float32))
    place = Path(str(outputs.others["entropy"]).replace("_entropy", "_std"))
    outputs = replace(outputs, others={**outputs.others, "std": place})
    out.mkdir()
    write_outputs(maps, case, outputs, segmenter.description, out)
    shown = shown_of(segmenter.description, outputs.form.legend(segmenter.description))
    files = {name: out / name for name in outputs.paths}
    PredictionRecord(out, {"spacing": None}, shown).note("scan", "digest", files, None, item.files, outputs.masks)
    found = open_predictions(out, []).load("scan").uncertainty
    assert list(found) == ["entropy", "std"]
    np.testing.assert_allclose(found["entropy"], maps.entropy, atol=1e-6)
    np.testing.assert_allclose(found["std"], maps.std, atol=1e-6)
    (out / outputs.others["entropy"]).unlink()
    assert list(open_predictions(out, []).load("scan").uncertainty) == ["std"]


def test_a_map_of_another_image_is_told(tmp_path):
    out, *_ = predicted(tmp_path, "image", "auto", CLASSES, std=np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="scan_std.tif has 3×3 pixels, but its image 5×6"):
        open_predictions(out, []).load("scan")


def test_a_region_that_is_called_like_a_map_is_none(tmp_path):
    out, labels, _ = predicted(tmp_path, "image", "auto", REGIONS, endings=("std", "entropy"))
    view = open_predictions(out, []).load("scan")
    assert np.array_equal(view.labels, labels)
    assert view.uncertainty == {}


def test_classes_that_slicer_numbers_anew_keep_their_names(tmp_path):
    out, labels, _ = predicted(tmp_path, "volume", "seg.nrrd", CLASSES | {"label_values": [40, 7, 0]})
    view = open_predictions(out, []).load("scan")
    assert [(one.name, one.value) for one in view.segments] == [("a", 1), ("b", 2)]
    assert np.array_equal(view.labels == 2, labels == 0)


def test_images_that_were_moved_are_found_where_they_are_said_to_be(tmp_path):
    out, _, _ = predicted(tmp_path, "image", "auto", CLASSES)
    shutil.move(tmp_path / "scans", tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match=r"scans/scan.png, of which scan was predicted, is not there: images="):
        open_predictions(out, []).load("scan")
    assert open_predictions(out, [], str(tmp_path / "moved")).load("scan").image.shape == (1, 5, 6)


def test_what_does_not_fit_is_told(tmp_path):
    out, _, _ = predicted(tmp_path, "image", "auto", CLASSES)
    with pytest.raises(ValueError, match=r"case=scam: .*predicted.json knows no such input .did you mean 'scan'"):
        open_predictions(out, ["scam"])
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "scans" / "scan.png")
    with pytest.raises(ValueError, match=r"scan_0.png has 5×6 pixels, but its image .*scan.png 9×9"):
        open_predictions(out, []).load("scan")
    with pytest.raises(ValueError, match=r"predicted.json does not tell of what the masks were made"):
        open_predictions(tmp_path, [])
