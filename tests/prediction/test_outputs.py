"""Names of what predicted inputs leave."""

from segexp.prediction.outputs import _endings


def test_regions_whose_names_come_out_alike_are_numbered():
    assert _endings(["a/b", "a b"]) == ["_0_a_b", "_1_a_b"]
    assert _endings(["Whole", "whole"]) == ["_0_Whole", "_1_whole"]  # one file where case does not count
