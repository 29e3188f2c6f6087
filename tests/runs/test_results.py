from segexp.runs.results import headline

SCORES = {"val": {"dice": 0.9}, "test": {"dice": 0.8}}


def test_headline_is_the_test_figure_and_says_when_there_is_none():
    assert headline(SCORES, "val/dice", True)["value"] == 0.8
    alone = headline({"val": SCORES["val"]}, "val/dice", False)
    assert (alone["value"], alone["higher_is_better"]) == (0.9, False)
    assert "no test score" in alone["note"]
