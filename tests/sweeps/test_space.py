"""Hydra's sweep syntax against Optuna's distributions, and back to overrides that Hydra reads."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from segexp.sweeps.space import Grid, describe, examples, overrides, read_space

SYNTAX = {
    "choice(ce,dice)": CategoricalDistribution(("ce", "dice")),
    "ce,dice": CategoricalDistribution(("ce", "dice")),
    "choice(1,2.5,true)": CategoricalDistribution((1, 2.5, True)),
    "null,4": CategoricalDistribution((None, 4)),
    "[32,32],[64,64]": CategoricalDistribution(("[32,32]", "[64,64]")),
    "'a b',c": CategoricalDistribution(("'a b'", "c")),
    "range(1,9,2)": IntDistribution(1, 7, step=2),  # as Hydra: 1, 3, 5, 7
    "range(4)": IntDistribution(0, 3),
    "range(5,1,-1)": IntDistribution(2, 5),
    "range(0,1,0.25)": FloatDistribution(0, 0.75, step=0.25),
    "interval(1e-5,1e-2)": FloatDistribution(1e-5, 1e-2),
    "interval(1,5)": FloatDistribution(1, 5),
    "int(interval(4,64))": IntDistribution(4, 64),
    "tag(log, interval(1e-5,1e-2))": FloatDistribution(1e-5, 1e-2, log=True),
    "tag(log, int(interval(4,64)))": IntDistribution(4, 64, log=True),
    "int(tag(log, interval(4,64)))": IntDistribution(4, 64, log=True),
}


@pytest.mark.parametrize("written", SYNTAX)
def test_syntax(written):
    space, fixed = read_space(["model.depth=2", f"key={written}", "sweep.seeds=[1,2]"])
    assert space == {"key": SYNTAX[written]}
    assert fixed == ["model.depth=2"]


def test_the_last_of_a_key_counts():
    space, fixed = read_space(["a=1,2", "b=3", "a=5", "b=choice(6,7)", "+c.d=1,2"])
    assert list(space) == ["b", "+c.d"]
    assert fixed == ["a=5"]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("a=1", "nothing to search for"),
        ("a=tag(log,interval(0,1))", "a=tag\\(log,interval\\(0,1\\)\\): no such values; .*log"),
        ("a=interval(3,1)", "no such values"),
        ("a=range(3,3)", "no such values"),
        ("seed=1,2,3", "use sweep.seeds"),
        ("data.split.fold=0,1", "use sweep.folds"),
    ],
)
def test_refused(word, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_space([word])


def test_parameters_are_read_by_hydra_as_they_were():
    params = {"a": 1e-05, "b": 0.1 + 0.2, "c": 12345678901.5, "d": True, "e": None, "f": 3, "g": "ce", "+h.i": 1.0}
    parsed = OverridesParser.create().parse_overrides(overrides(params))
    assert {item.get_key_element(): item.value() for item in parsed} == params
    (quoted,) = OverridesParser.create().parse_overrides(overrides({"a": "'a b'"}))
    assert quoted.value() == "a b"


def test_examples_show_each_choice():
    space, _ = read_space(["a=ce,dice,focal", "b=interval(0,1)", "c=x,y"])
    assert [list(found.values()) for found in examples(space)] == [["ce", 0, "x"], ["dice", 0, "y"], ["focal", 0, "x"]]


def test_describe():
    space, _ = read_space(["a=ce,null", "b=tag(log,interval(1e-4,1))", "c=range(0,9,3)"])
    assert describe(space) == "a (ce, null), b (0.0001 to 1.0, log scale), c (0 to 6 in steps of 3)"


def test_grid_has_every_combination_once_in_an_order_of_its_seed():
    space, _ = read_space(["a=ce,dice", "b=range(0,1,0.1)", "c=int(interval(2,4))"])
    points = Grid(space, seed=1).points
    assert len(points) == len({tuple(point.values()) for point in points}) == 2 * 10 * 3
    assert points == Grid(space, seed=1).points != Grid(space, seed=2).points
    for point in points:
        assert all(values._contains(values.to_internal_repr(point[key])) for key, values in space.items())


def test_grid_refuses_what_has_no_end():
    space, _ = read_space(["a=interval(0,1)"])
    with pytest.raises(ValueError, match="a is continuous, \\(0.0 to 1.0\\); write choice"):
        Grid(space)
