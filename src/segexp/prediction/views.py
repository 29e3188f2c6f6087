"""Which flips and turns of each tile a prediction averages over: what is asked for, if the training showed it."""

import logging
from collections.abc import Sequence

from segexp.checkpoints.description import ModelDescription
from segexp.errors import require_choice
from segexp.inference.views import WORDS, View, require_seen, views_of

TTA = {"none": (), "flips": ("flip_y", "flip_x"), "turns": ("flip_y", "flip_x", "quarter_turn")}
NOT_KNOWN = (
    "predictions are averaged over flips or turns, but a model of an earlier version does not tell whether its "
    "training showed them: on those that it never saw it is wrong"
)

_log = logging.getLogger(__name__)


def views_asked(descriptions: Sequence[ModelDescription], tta: str, allow_unseen_views: bool = False) -> list[View]:
    """List the views of each tile to average over, the tile as it is first.

    Args:
        descriptions: Models that are averaged; each predicts every view.
        tta: One of ``TTA``, "seen" (all that the training showed to every model), or flips and turns with commas.
        allow_unseen_views: Whether to take views that the training did not show.

    Raises:
        ValueError: ``tta`` is unknown, or the training of a model did not show a view.
    """
    seen = shared_symmetries(descriptions)
    if tta == "seen":
        if seen is None:
            raise ValueError(
                "tta=seen: a model of an earlier version does not tell what its training showed: name it, tta=flip_x"
            )
        return views_of(seen)
    words = TTA.get(tta, tuple(word.strip() for word in tta.split(",")))
    for word in words:
        require_choice("tta", word, [*TTA, "seen", *WORDS])
    wanted = views_of(words)
    if descriptions[0].spatial_dims == 2 and "flip_z" in words:
        raise ValueError(f"tta={tta}: the network takes images, which have no axis z: leave flip_z out")
    if words and seen is None:
        _log.warning(NOT_KNOWN)
    elif seen is not None and not allow_unseen_views:
        remedy = "tta=seen takes those that it showed, allow_unseen_views=true averages over the others all the same"
        require_seen(wanted, seen, f"tta={tta}", remedy)
    return wanted


def shared_symmetries(descriptions: Sequence[ModelDescription]) -> list[str] | None:
    """Name the flips and turns that the training showed to all models; None where one does not tell."""
    seen = [views_of(each.symmetries) for each in descriptions if each.symmetries is not None]
    if len(seen) < len(descriptions):
        return None
    return [word for word, view in WORDS.items() if all(view in views for views in seen)]
