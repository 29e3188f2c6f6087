"""Names of what predicted inputs leave."""

from pathlib import Path

import pytest

from segexp.prediction.formats import FORMATS
from segexp.prediction.outputs import Outputs, _endings, snap_labels
from tests.prediction.models import make_model


def test_regions_whose_names_come_out_alike_are_numbered():
    assert _endings(["a/b", "a b"]) == ["_0_a_b", "_1_a_b"]
    assert _endings(["Whole", "whole"]) == ["_0_Whole", "_1_whole"]  # one file where case does not count


@pytest.mark.parametrize(
    ("mask", "values", "form", "written"),
    [
        ("x.nii.gz", [0, 7], "auto", True),
        ("x.mha", [0, 7], "auto", True),
        ("x.png", [0, 7], "auto", False),
        ("x.seg.nrrd", [0, 7], "seg.nrrd", False),  # has names of its own
        ("x.nii.gz", [7, 0], "auto", False),  # 0 is the background of ITK-SNAP
        ("x.nii.gz", [0, 70_000], "auto", False),
    ],
)
def test_volumes_of_labels_have_a_description_for_itk_snap(mask, values, form, written):
    outputs = [Outputs((Path("y.png"),), {}), Outputs((Path(mask),), {}, FORMATS[form])]
    text = snap_labels(outputs, make_model(label_values=values).description)
    assert ('"class 1"' in text) is written
    assert bool(text) is written


def test_files_of_single_regions_have_no_labels_to_describe():
    description = make_model(regions={"whole": [1], "core": [1]}, activation="sigmoid").description
    assert snap_labels([Outputs((Path("x_whole.nii.gz"), Path("x_core.nii.gz")), {})], description) == ""
