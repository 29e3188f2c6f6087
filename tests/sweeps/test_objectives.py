import json

import pytest

from segexp.sweeps.jobs import Job
from segexp.sweeps.objectives import Objective, read_objectives


def ended(folder, parameters=7, **val) -> Job:
    """A job with the files of a run that has ended."""
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"status": "done", "parameters": parameters}))
    results = {"headline": {"split": "val", "metric": "dice"}, "val": val, "training": {"minutes": 2.5}}
    (folder / "results.json").write_text(json.dumps(results))
    return Job((), folder)


def test_the_value_of_a_trial_is_the_mean_over_its_runs(tmp_path):
    jobs = [ended(tmp_path / "one", 7, dice=0.5), ended(tmp_path / "two", 9, dice=0.75)]
    found = {name: Objective(name, "").value(jobs) for name in ("val.dice", "training.minutes", "parameters")}
    assert found == {"val.dice": 0.625, "training.minutes": 2.5, "parameters": 8.0}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("val.dise", "the run has no 'dise' (did you mean 'dice'?)"),
        ("val.dice.membrane", "the run has no 'membrane'"),
        ("vall.dice", "the run has no 'vall' (did you mean 'val'?)"),
        ("val.hd95_mm", "objective val.hd95_mm is None, not a number"),
        ("val", "not a number that can be compared"),
    ],
)
def test_a_run_without_that_number_is_refused(tmp_path, name, sentence):
    job = ended(tmp_path / "run", dice=0.5, hd95_mm=None)
    with pytest.raises(ValueError, match="objective") as failure:
        Objective(name, "maximize").value([job])
    assert sentence in str(failure.value)


def test_without_names_the_monitored_metric_is_optimized():
    assert read_objectives(None, None, "val.dice", "max") == [Objective("val.dice", "maximize")]
    assert read_objectives(None, None, "val.loss", "min") == [Objective("val.loss", "minimize")]


@pytest.mark.parametrize(
    ("names", "directions", "sentence"),
    [
        (["test.dice"], None, "test.dice is of the test cases, which must not choose"),
        (["headline.value"], None, "must not choose"),
        (["dice"], None, "'dice' is not val.<metric>"),
        (["parameter"], None, "did you mean 'parameters'"),
        (["val.hd95_mm"], None, "is more of val.hd95_mm better"),
        (["val.dice"], ["max"], "hydra.sweeper.directions='max' is not one of"),
        (["val.dice", "parameters"], ["maximize"], "must be of one length"),
        ([], None, "1 or more"),
    ],
)
def test_objectives_refused(names, directions, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_objectives(names, directions, "val.dice", "max")


def test_objectives_have_their_usual_directions():
    names = ["val.loss", "training.minutes", "training.patches_per_second", "parameters"]
    found = [item.direction for item in read_objectives(names, None, "val.loss", "min")]
    assert found == ["minimize", "minimize", "maximize", "minimize"]
    (given,) = read_objectives(["val.hd95_mm"], ["minimize"], "val.dice", "max")
    assert given.direction == "minimize"
