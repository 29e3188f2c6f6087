import pytest

from segexp.comparison.case_order import case_scores, worst_median_best

ROWS = [
    {"case": case, "class": label, "dice": score}
    for case, label, score in [
        ("a", "x", "0.9"),
        ("a", "y", "nan"),
        ("b", "x", "0.2"),
        ("b", "y", "0.6"),
        ("c", "x", ""),
    ]
]


def test_cases_are_ordered_by_the_mean_over_the_classes_that_are_defined():
    assert list(case_scores(ROWS, "dice").items()) == [("b", pytest.approx(0.4)), ("a", 0.9)]
    assert list(case_scores(ROWS, "dice", higher_is_better=False)) == ["a", "b"]
    assert case_scores(ROWS, "iou") == {}


@pytest.mark.parametrize(
    ("cases", "named"),
    [
        ("", {}),
        ("a", {"worst": "a"}),
        ("ab", {"worst": "a", "median": "b"}),
        ("abcd", {"worst": "a", "median": "c", "best": "d"}),
    ],
)
def test_each_case_has_one_rank(cases, named):
    assert worst_median_best(list(cases)) == named
