"""Views of an image that predictions are averaged over: flips, and quarter turns in the plane of the last two axes."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from torch import Tensor

from segexp.errors import require_choice

PLANE = (-2, -1)


class View(NamedTuple):
    """Quarter turns in the plane of y and x, then a flip of x, or of z, or of both."""

    quarters: int = 0
    flip_x: bool = False
    flip_z: bool = False

    def then(self, other: "View") -> "View":
        """Tell the view that one makes after the other."""
        # A turn after a flip is the flip after the opposite turn.
        quarters = self.quarters + (-other.quarters if self.flip_x else other.quarters)
        return View(quarters % 4, self.flip_x != other.flip_x, self.flip_z != other.flip_z)

    def __str__(self) -> str:
        """Name it for messages."""
        parts = [PLANE_NAMES[self.quarters, self.flip_x], "flip_z" if self.flip_z else ""]
        return " with ".join(part for part in parts if part)


UNTURNED = View()
WORDS = {
    "flip_z": View(flip_z=True),
    "flip_y": View(2, True),  # both flips in one are a half turn
    "flip_x": View(flip_x=True),
    "half_turn": View(2),
    "quarter_turn": View(1),
    "transpose": View(3, True),
}
PLANE_NAMES = {
    **{view[:2]: word for word, view in WORDS.items() if not view.flip_z},
    (0, False): "",
    (3, False): "three quarter_turns",
    (1, True): "transpose with half_turn",
}


def views_of(words: Collection[str]) -> list[View]:
    """List the views that flips and turns make together, the image as it is first.

    Args:
        words: Some of ``WORDS``.

    Raises:
        ValueError: There is no such word.
    """
    for word in words:
        require_choice("a view", word, WORDS)
    found = {UNTURNED}
    while True:
        more = found | {view.then(WORDS[word]) for view in found for word in words}
        if more == found:
            return sorted(found, key=lambda view: (view.flip_z, view.flip_x, view.quarters))
        found = more


def views(flips: bool | Sequence[str] = True, turns: bool = True) -> list[View]:
    """List the views, the image as it is first.

    Args:
        flips: Axes along which images are mirrored, of "z", "y", "x"; True = y and x.
        turns: Whether to turn by quarters in the plane of y and x.

    Raises:
        ValueError: There is no such axis.
    """
    return views_of([*flips_in_words(flips), *(["quarter_turn"] if turns else [])])


def flips_in_words(flips: bool | Sequence[str]) -> list[str]:
    """Name the flips along axes "z", "y", "x"; True = y and x."""
    if isinstance(flips, bool):
        flips = ["y", "x"] if flips else []
    for axis in flips:
        require_choice("an axis of flips", axis, ("z", "y", "x"))
    return [f"flip_{axis}" for axis in flips]


def apply_view(image: Tensor, view: View) -> Tensor:
    """Turn and flip an image (B, C, *S).

    Raises:
        ValueError: The image lacks an axis of the view.
    """
    if view == UNTURNED:
        return image
    if image.ndim < 4:
        raise ValueError(f"image of shape {tuple(image.shape)} has no plane to flip or turn: give (B, C, H, W)")
    if view.flip_z and image.ndim < 5:
        raise ValueError(f"image of shape {tuple(image.shape)} has no axis z to flip: leave flips of z out")
    return _flipped(image.rot90(view.quarters, PLANE), view)


def undo_view(probs: Tensor, view: View) -> Tensor:
    """Undo ``apply_view`` on the probabilities (B, K, *S) of a view."""
    return probs if view == UNTURNED else _flipped(probs, view).rot90(-view.quarters, PLANE)


def _flipped(image: Tensor, view: View) -> Tensor:
    axes = [axis for axis, flipped in ((-3, view.flip_z), (-1, view.flip_x)) if flipped]
    return image.flip(axes) if axes else image


def require_seen(wanted: Sequence[View], seen: Collection[str], setting: str, remedy: str) -> None:
    """Refuse views that the training never showed to the network: it would be wrong on them, and so the mean.

    Args:
        wanted: Views to be averaged over.
        seen: Flips and turns of the training, some of ``WORDS``.
        setting: Name and value of what asks for the views, for messages.
        remedy: What to do, for messages.

    Raises:
        ValueError: Names setting, views that were not seen, those that were, and remedies.
    """
    unseen = [str(view) for view in wanted if view not in views_of(seen)]
    if unseen:
        raise ValueError(
            f"{setting} averages over views that the augmentation of the training never showed to the network: "
            f"{', '.join(unseen)} (it showed {', '.join(seen) or 'no flips and turns'}); {remedy}"
        )
