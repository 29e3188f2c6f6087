import pytest

from segexp.data.splits import Split, contiguous_fold, holdout

NAMES = [f"slice_{i:02d}" for i in range(30)]


def positions(side):
    return [NAMES.index(name) for name in side]


def test_positions_give_the_challenge_split():
    split = holdout(NAMES, "20-23", "24-29")
    assert positions(split.train) == list(range(20))
    assert positions(split.val) == [20, 21, 22, 23]
    assert positions(split.test) == [24, 25, 26, 27, 28, 29]


def test_shares_are_contiguous_blocks_from_the_end():
    split = holdout(NAMES, 0.2, 0.1)
    assert positions(split.test) == [27, 28, 29]
    assert positions(split.val) == [21, 22, 23, 24, 25, 26]
    assert positions(split.train) == list(range(21))


def test_no_test_cases_and_single_positions():
    split = holdout(NAMES, "3,7-8", 0)
    assert positions(split.val) == [3, 7, 8]
    assert split.test == ()
    assert len(split.train) == 27


@pytest.mark.parametrize("fold", range(5))
def test_folds_partition_the_cases(fold):
    split = contiguous_fold(NAMES, 5, fold, "20-23")
    assert positions(split.test) == list(range(6 * fold, 6 * fold + 6))
    assert len(split.val) == 4
    assert sorted([*split.train, *split.val, *split.test]) == NAMES
    before = (6 * fold - 1) % 30
    assert before in positions(split.val)


def test_last_fold_is_the_holdout_of_isbi():
    assert contiguous_fold(NAMES, 5, 4, "20-23") == holdout(NAMES, "20-23", "24-29")


@pytest.mark.parametrize(
    ("val", "test", "words"),
    [
        ("20-23", "23-29", "stand on two sides"),
        ("28-31", 0, "does not lie in the 30 cases, numbered 0-29"),
        ("a-b", 0, "neither a position nor a range"),
        (1.5, 0, "is no share below 1"),
        (0, 0.2, "leaves none for val"),
        ("0-29", 0, "leaves none for train"),
    ],
)
def test_impossible_splits_name_the_key(val, test, words):
    with pytest.raises(ValueError, match=words):
        holdout(NAMES, val, test)


def test_fold_out_of_range():
    with pytest.raises(ValueError, match="have folds 0 to 4"):
        contiguous_fold(NAMES, 5, 5, 0.1)


def test_a_split_refuses_a_case_on_two_sides():
    with pytest.raises(ValueError, match="two sides"):
        Split(("a", "b"), ("b",), ())
