import json
from dataclasses import replace

import numpy as np
import pytest

from segexp.checkpoints.description import DESCRIPTION, INFERENCE, ModelDescription
from segexp.data.augmentation import symmetries as shown
from segexp.data.case import Case
from segexp.data.reference import reference_of
from segexp.inference import TiledPredictor
from segexp.inference.views import WORDS
from tests.safety.corpus import description, model_description


def test_plain_values_go_there_and_back():
    plain = description(regions={"cells": [1]}, postprocess={"fill_holes": {"max_size": 50}}, spacing=[0.5, 0.5])
    assert ModelDescription.from_plain(plain, "a.ckpt").to_plain() == plain
    assert list(model_description().to_plain()) == list(DESCRIPTION)


def test_channels_of_the_network_are_those_of_all_its_slices():
    one = model_description()
    assert one.in_channels == 1
    assert replace(one, channels=3, context=2).in_channels == 15


def test_outputs_are_named_after_classes_or_regions():
    assert model_description().output_names == ["background", "object"]
    assert model_description(regions={"whole": [0, 1], "core": [1]}).output_names == ["whole", "core"]


def test_tiling_holds_the_arguments_of_the_predictor():
    """A key that the predictor does not take would stop every prediction."""
    tiling = model_description().inference
    assert tiling.keys() == INFERENCE.keys()
    assert TiledPredictor(**tiling).tile is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_values": [0]}, r"a.ckpt: label_values=\[0\] must be one each, all different, for 2 classes"),
        ({"label_values": [7, 7]}, "all different, for 2 classes"),
        ({"regions": {"rim": [2]}}, "regions: 'rim' has class 2, but there are 2 classes"),
        ({"regions": {}}, r"regions=\{\} must be none or name some"),
        ({"patch_size": [16, 16, 16]}, r"patch_size=\[16, 16, 16\] must have 2 sides"),
        ({"inference__tile": 16_384}, "inference.tile=16384 must have 2 sides and 134217728 pixels at most"),
        ({"inference__overlap": 1.0}, "inference: overlap=1.0 must be a fraction from 0 to below 1"),
        ({"intensity": {"rule": "ZScores"}}, "intensity: the intensity rule='ZScores' is not one of .*'ZScore'"),
        ({"postprocess": {"fill_hole": {}}}, "postprocess: .*did you mean 'fill_holes'"),
    ],
    ids=str,
)
def test_values_that_do_not_go_together_are_told(changes, message):
    with pytest.raises(ValueError, match=message):
        ModelDescription.from_plain(description(**changes), "a.ckpt")


def test_files_of_earlier_versions_are_tiled_as_they_were():
    plain = description()
    for key in ("sigma", "padding_mode"):
        del plain["inference"][key]
    read = ModelDescription.from_plain(plain, "a.ckpt")
    assert TiledPredictor(**read.inference) == TiledPredictor([16, 16])


def test_files_of_earlier_versions_join_no_channels_and_know_no_training_cases():
    plain = description()
    for key in ("channels_by_suffix", "reference", "symmetries"):
        del plain[key]
    read = ModelDescription.from_plain(plain, "a.ckpt")
    assert (read.channels_by_suffix, read.reference, read.symmetries) == (False, None, None)


def test_flips_and_turns_are_those_that_augmentations_and_predictions_know():
    assert tuple(WORDS) == shown.WORDS
    assert ModelDescription.from_plain(description(symmetries=list(WORDS)), "a.ckpt").symmetries
    with pytest.raises(ValueError, match=r"symmetries=.* must be"):
        ModelDescription.from_plain(description(symmetries=["flip_w"]), "a.ckpt")


REFERENCE = reference_of([Case("a", np.arange(2 * 9 * 8, dtype=np.uint8).reshape(2, 9, 8), None, (1.0, 1.0))])


def test_what_the_training_cases_are_like_goes_there_and_back():
    plain = description(reference=dict(REFERENCE), channels=2)
    assert ModelDescription.from_plain(json.loads(json.dumps(plain)), "a.ckpt").reference == REFERENCE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cases": 0}, "reference: cases=0 must be an integer"),
        ({"widest": [1.0]}, "reference: widest has 1 items, it must have 2"),
        ({"most_size": [9, 8, 7]}, "reference: most_size has 3 items, it must have 2"),
        ({"least": [[1.0, 2.0]] * 2}, "reference: least="),
        ({"more": 1}, "reference: 'more' is no key"),
        ({"tilt": float("nan")}, "reference: tilt=nan must be a number"),
    ],
)
def test_what_the_training_cases_are_like_is_checked(change, message):
    with pytest.raises(ValueError, match=message):
        ModelDescription.from_plain(description(reference={**REFERENCE, **change}, channels=2), "a.ckpt")
