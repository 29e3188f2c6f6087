"""Masks in the formats of viewers, from labels as a segmenter leaves them."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import slicerio
import tifffile
from PIL import Image

from segexp.data.case import Case
from segexp.data.files.writing import in_file_axes
from segexp.prediction.formats import FORMATS
from segexp.prediction.inputs import find_inputs, read_input
from tests.data.files.test_volumes import DIRECTIONS, affine_of
from tests.prediction.models import make_model

REGIONS = {"regions": {"whole": [1], "core": [1]}, "activation": "sigmoid"}


def volume(folder: Path) -> Case:
    values = np.random.default_rng(0).integers(0, 900, (4, 5, 6), dtype=np.int16)
    nib.save(nib.Nifti1Image(values, affine_of(DIRECTIONS["LAI"])), folder / "scan.nii.gz")
    return read_input(find_inputs(str(folder / "scan.nii.gz"))[0], 1)


def picture(folder: Path) -> Case:
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(folder / "scan.png")
    return read_input(find_inputs(str(folder / "scan.png"))[0], 1)


@pytest.mark.parametrize("background", [0, 3])
def test_a_segmentation_of_slicer_has_the_values_of_the_classes_unless_the_background_is_not_0(background, tmp_path):
    case, names = volume(tmp_path), ["ground", "a", "b"]
    description = make_model(classes=3, class_names=names, label_values=[background, 7, 40]).description
    labels = np.random.default_rng(1).choice([background, 7, 40], case.image.shape[1:]).astype(np.uint8)
    form, path = FORMATS["seg.nrrd"], tmp_path / "scan.seg.nrrd"
    assert form.suffix(case.files[0], description) == ".seg.nrrd"
    form.write_all(labels, case, [path], description)
    found = slicerio.read_segmentation(str(path))
    for name, value in (("a", 7), ("b", 40)):
        (segment,) = [one for one in found["segments"] if one["name"] == name]
        assert segment["labelValue"] == (value if background == 0 else names.index(name))
        assert (name, segment["labelValue"]) in [(one.name, one.value) for one in form.legend(description)]
        assert np.array_equal(found["voxels"] == segment["labelValue"], in_file_axes(labels == value, case))


def test_regions_are_layers_of_one_segmentation(tmp_path):
    case, description = volume(tmp_path), make_model(**REGIONS).description
    regions = np.random.default_rng(1).random((2, *case.image.shape[1:])) > 0.5
    FORMATS["seg.nrrd"].write_all(regions, case, [tmp_path / "scan.seg.nrrd"], description)
    found = slicerio.read_segmentation(str(tmp_path / "scan.seg.nrrd"))
    assert [one["name"] for one in found["segments"]] == ["whole", "core"]
    assert np.array_equal(found["voxels"], in_file_axes(regions, case))


def test_regions_of_an_image_are_colored_one_by_one(tmp_path):
    case, description = picture(tmp_path), make_model(**REGIONS).description
    regions = np.random.default_rng(1).random((2, 5, 6)) > 0.5
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    FORMATS["imagej"].write_all(regions, case, paths, description)
    for region, path, name in zip(regions, paths, ("whole", "core"), strict=True):
        with tifffile.TiffFile(path) as file:
            assert np.array_equal(file.asarray(), region * np.uint8(255))
            assert file.imagej_metadata["Info"] == f"255 {name}\n"
            assert file.pages.first.colormap[:, 255].any()


@pytest.mark.parametrize(
    ("form", "make", "values", "message"),
    [
        ("seg.nrrd", picture, [0, 1], r"format=seg.nrrd: .*scan.png is no volume with a place in space: give NIfTI"),
        ("imagej", volume, [0, 1], r"format=imagej: .*scan.nii.gz is a volume, .*: format=auto"),
        ("imagej", picture, [0, 700], r"format=imagej: .* no place for the value 700 .*; give format=auto"),
    ],
)
def test_a_format_that_does_not_go_with_the_input_is_refused(form, make, values, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        FORMATS[form].suffix(make(tmp_path).files[0], make_model(label_values=values).description)
