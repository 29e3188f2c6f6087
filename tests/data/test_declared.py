from dataclasses import replace

import numpy as np
import pytest

from tests.data.test_datamodule import Numbered, module, ready


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_names": ["one"]}, "one name for each of 2 classes"),
        ({"patch_size": [32]}, "one length for each of 2 axes"),
        ({"batch_size": 0}, "integer of at least 1"),
        ({"num_workers": -1}, "data.sampling.num_workers=-1"),
        ({"mirror_margin": "yes"}, "data.sampling.mirror_margin='yes'"),
    ],
)
def test_wrong_settings_are_refused_at_once(changes, words):
    with pytest.raises(ValueError, match=words):
        module(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"context": 1}, "is no volume: data.geometry.context=1"),
        ({"slice_axis": 1}, "is no volume: data.geometry.slice_axis=1 needs slices, set it to 0"),
        ({"foreground_fraction": 1.5}, "data.sampling.foreground_fraction=1.5"),
        ({"slice_axis": 3}, "data.geometry.slice_axis=3"),
        ({"spatial_dims": 3, "patch_size": [8, 8, 8], "context": 1}, "belong to slices"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        ready(**changes)


class Unnumbered(Numbered):
    def __init__(self, change):
        super().__init__()
        self._change = change

    def read(self, name):
        case = super().read(name)
        return replace(case, instances=self._change(case.instances))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda numbers: numbers[1:], r"instances of shape \(47, 48\) and int32, .*: they must be int32"),
        (lambda numbers: numbers.astype(np.uint16), r"instances of shape \(48, 48\) and uint16"),
        (lambda numbers: numbers - 1, "from -1: they must be int32"),
    ],
)
def test_numbers_of_objects_that_are_none_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        ready(source=Unnumbered(change))
