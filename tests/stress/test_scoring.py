import pytest

from segexp.build import build_data
from segexp.config import compose, plain
from segexp.data import DataModule
from segexp.stress.corruptions import corrupted
from segexp.stress.scoring import Copies, plan_of
from tests.conftest import SMALL


def data_of(*words: str) -> DataModule:
    data = build_data(plain(compose([*SMALL, *words])))
    data.setup()
    return data


@pytest.fixture(scope="module")
def data() -> DataModule:
    return data_of()


def test_the_cases_as_they_are_come_first_and_all_severities_of_a_case_together(data):
    plan = plan_of(data, "test", ["blur", "gamma"], [5, 1], None, 0)
    copies = plan.copies()
    assert copies[:3] == [("clean", case, 0) for case in plan.cases]
    assert copies[3:5] == [("blur", plan.cases[0], 1), ("blur", plan.cases[0], 5)]
    assert len(copies) == len(set(copies)) == 3 + 2 * 3 * 2


def test_what_fits_all_cases_is_chosen_and_cases_are_spread_over_the_split(data):
    plan = plan_of(data, "test", None, [1], 2, 0)
    assert plan.cases == (data.split.test[0], data.split.test[2])
    assert "motion" in plan.corruptions
    assert not {"thick_slices", "jpeg"} & set(plan.corruptions)
    with pytest.raises(ValueError, match="jpeg does not fit"):
        plan_of(data, "test", ["jpeg"], [1], None, 0)


def test_networks_of_other_spacing_and_intensities_see_the_same_corrupted_images(data):
    other = data_of("data.geometry.spacing=[2,2]", "data.geometry.spacing_unit=px", "data/intensity=percentile")
    key = ("gaussian_noise", data.split.test[0], 4)
    for each, size in ((data, 48), (other, 24)):
        copies = Copies(each, plan_of(each, "test", ["gaussian_noise"], [4], None, 0), [key])
        (expected,) = corrupted(data.read_cases("test")[0], "gaussian_noise", [4], 0)
        assert (copies[0].original.image == expected.case.image).all()
        assert copies[0].case.image.shape[1:] == (size, size)
        assert copies.copy(key).reached == expected.reached


def test_a_case_as_it_is_is_that_of_the_data(data):
    copies = Copies(data, plan_of(data, "test", ["blur"], [1], None, 0), [("clean", data.split.test[1], 0)])
    expected = data.cases("test")[1]
    assert (copies[0].case.image == expected.case.image).all()
    units = [prepared.intensity.to_unit(prepared.case.image) for prepared in (copies[0], expected)]
    assert (units[0] == units[1]).all()
