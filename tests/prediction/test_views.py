import logging

import pytest

from segexp.inference.views import WORDS, views_of
from segexp.prediction.views import shared_symmetries, views_asked
from tests.safety.corpus import model_description

FLIPS = ["flip_y", "flip_x"]


def described(symmetries, spatial_dims: int = 2):
    sizes = {} if spatial_dims == 2 else {"patch_size": [8, 8, 8], "inference__tile": [8, 8, 8]}
    return model_description(symmetries=symmetries, spatial_dims=spatial_dims, **sizes)


@pytest.mark.parametrize(
    ("symmetries", "tta", "count"),
    [
        ([], "none", 1),
        ([], "seen", 1),
        (FLIPS, "flips", 4),
        (["flip_x"], "seen", 2),
        (["flip_x"], "flip_x", 2),
        (FLIPS, "half_turn", 2),
        (["quarter_turn", "flip_x"], "turns", 8),
        (["quarter_turn", "flip_x"], "flip_x, flip_y", 4),
        (["quarter_turn", "flip_x"], "flips", 4),
    ],
)
def test_what_the_training_showed_can_be_averaged_over(symmetries, tta, count):
    assert len(views_asked([described(symmetries)], tta)) == count


def test_volumes_may_be_flipped_along_a_single_axis():
    volume = described(["flip_z"], spatial_dims=3)
    assert views_asked([volume], "flip_z") == views_asked([volume], "seen") == views_of(["flip_z"])
    with pytest.raises(ValueError, match=r"tta=flips .*: half_turn, flip_x, flip_y \(it showed flip_z\)"):
        views_asked([volume], "flips")


def test_unseen_views_are_refused_unless_allowed():
    message = (
        r"tta=turns .* never showed .*: quarter_turn, .* \(it showed flip_y, flip_x, half_turn\); tta=seen takes those"
    )
    with pytest.raises(ValueError, match=message):
        views_asked([described(FLIPS)], "turns")
    with pytest.raises(ValueError, match=r"tta=flip_x .*it showed no flips and turns"):
        views_asked([described([])], "flip_x")
    assert len(views_asked([described([])], "turns", allow_unseen_views=True)) == 8


def test_every_network_of_an_ensemble_must_have_seen_the_views():
    turned, flipped = described(["quarter_turn"]), described(FLIPS)
    assert shared_symmetries([turned, flipped]) == ["half_turn"]
    assert len(views_asked([turned, flipped], "seen")) == 2
    with pytest.raises(ValueError, match=r"it showed half_turn"):
        views_asked([turned, flipped], "flips")


def test_models_of_earlier_versions_are_warned_about(caplog):
    old = described(None)
    with caplog.at_level(logging.WARNING):
        assert len(views_asked([old, described(FLIPS)], "flips")) == 4
        assert "does not tell whether its training showed them" in caplog.text
        caplog.clear()
        views_asked([old], "none")
        assert not caplog.text
    with pytest.raises(ValueError, match=r"tta=seen: a model of an earlier version does not tell .* tta=flip_x"):
        views_asked([old], "seen")


def test_words_that_are_none_and_axes_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="tta='flip' is not one of .*did you mean 'flips'"):
        views_asked([described([])], "flip")
    with pytest.raises(ValueError, match=r"tta=flip_z: the network takes images, which have no axis z"):
        views_asked([described(list(WORDS))], "flip_z")
