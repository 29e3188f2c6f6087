"""The verdict on a run that was run again."""

import pytest

from segexp.comparison.reproduction import verdict
from segexp.runs.sameness import Value

SAME, OTHER = Value("test/dice", 0.5, 0.5), Value("test/dice", 0.5, 0.25)


def test_the_same_needs_no_cause():
    assert verdict([SAME], [], [], resumed=True) == "the same, bit for bit: 1 metrics and 0 scores of single cases"


@pytest.mark.parametrize(
    ("changed", "resumed", "cause"),
    [
        ([], False, "; nothing that was recorded differs"),
        (["git commit", "config"], False, "; what differs: git commit, config"),
        ([], True, "; the run was resumed, and its first part may have had other settings: "),
    ],
)
def test_another_result_is_told_with_what_may_have_caused_it(changed, resumed, cause):
    said = verdict([OTHER], [], changed, resumed)
    assert "the largest difference is 0.25 (test/dice)" in said
    assert cause in said
    assert ("resumed" in said) == resumed
