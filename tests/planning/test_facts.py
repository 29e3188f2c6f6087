"""Facts of the training cases from measures and masks, and of this machine."""

import numpy as np
import pytest
from scipy import ndimage

from segexp.data.audit.measures import content_of, measure
from segexp.data.case import Case, Entry
from segexp.planning.facts import data_facts, this_machine, width


def strip(thick: int, turned: float = 0.0) -> np.ndarray:
    mask = np.zeros((200, 200))
    mask[100 : 100 + thick, 20:180] = 1
    return ndimage.rotate(mask, turned, reshape=False, order=1) > 0.5


@pytest.mark.parametrize("thick", [3, 6, 12])
@pytest.mark.parametrize("turned", [0, 30, 45])
def test_the_width_of_a_strip_is_about_its_thickness(thick, turned):
    assert width(strip(thick, turned)) == pytest.approx(thick, rel=0.35)


def test_the_width_of_a_disk_is_its_radius_and_of_nothing_zero():
    y, x = np.mgrid[:101, :101]
    assert width((y - 50) ** 2 + (x - 50) ** 2 <= 30**2) == pytest.approx(30, rel=0.05)
    assert width(np.zeros((5, 5), bool)) == 0


def test_the_width_of_a_volume_is_that_within_its_slices():
    assert width(np.stack([strip(6)] * 4)) == pytest.approx(width(strip(6)))


def facts_of(images, masks, splits, **more):
    entries = [Entry(name=f"case_{n}", group=f"g{n // 2}") for n in range(len(images))]
    cases = {
        entry.name: Case(entry.name, image, mask, (1.0,) * mask.ndim, **more)
        for entry, image, mask in zip(entries, images, masks, strict=True)
    }
    measures = [
        measure(e, cases[e.name], split, content_of(cases[e.name], 2)) for e, split in zip(entries, splits, strict=True)
    ]
    return data_facts(measures, cases, ["background", "thing"], 2)


def test_facts_are_those_of_the_training_cases():
    sizes = [(40, 50), (40, 50), (60, 70), (999, 999)]
    images = [np.random.default_rng(0).integers(0, 255, (1, *size), dtype=np.uint8) for size in sizes]
    masks = [np.zeros(size, np.uint8) for size in sizes]
    for mask in masks:
        mask[5:9] = 1
    facts = facts_of(images, masks, ["train", "train", "train", "test"])
    assert (facts.cases, facts.validation, facts.test, facts.groups) == (3, 0, 1, 2)
    assert facts.size == (40, 50)
    assert facts.largest == (60, 70)
    assert facts.foreground == pytest.approx(4 * (50 + 50 + 70) / (2000 + 2000 + 4200))
    assert not facts.colored
    assert not facts.ct


def test_hounsfield_units_and_photographs_are_told_by_their_values():
    rng = np.random.default_rng(0)
    mask = np.zeros((4, 16, 16), np.uint8)
    air = np.full((1, 4, 16, 16), -1000, np.int16)
    air[0, 1:3] = rng.integers(-200, 400, (2, 16, 16))
    assert facts_of([air, air + 1], [mask, mask], ["train"] * 2, spacing_unit="mm").ct
    photograph = rng.integers(0, 255, (3, 16, 16), dtype=np.uint8)
    assert facts_of([photograph], [mask[0]], ["train"]).colored


def test_this_machine_has_cores_and_memory():
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory > 2**28
    assert "GiB free" in str(machine)
