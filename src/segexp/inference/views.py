"""Views of an image that predictions are averaged over: flips and quarter turns in the plane of the last two axes."""

from torch import Tensor

View = tuple[int, bool]  # quarter turns, and whether to flip the last axis after them

PLANE = (-2, -1)
UNTURNED: View = (0, False)


def views(flips: bool = True, turns: bool = True) -> list[View]:
    """List the views, the image as it is first: 4 of flips or of turns alone, 8 of both, 1 of neither."""
    quarters = [0]
    if flips:
        quarters = [0, 2]  # both flips in one are a half turn
    if turns:
        quarters = [0, 1, 2, 3]
    return [(quarter, flipped) for flipped in ([False, True] if flips else [False]) for quarter in quarters]


def apply_view(image: Tensor, view: View) -> Tensor:
    """Turn and flip an image (B, C, *S).

    Raises:
        ValueError: The image has one spatial axis only and the view is not the image as it is.
    """
    if view == UNTURNED:
        return image
    if image.ndim < 4:
        raise ValueError(f"image of shape {tuple(image.shape)} has no plane to flip or turn: give (B, C, H, W)")
    quarter, flipped = view
    turned = image.rot90(quarter, PLANE)
    return turned.flip(-1) if flipped else turned


def undo_view(probs: Tensor, view: View) -> Tensor:
    """Undo ``apply_view`` on the probabilities (B, K, *S) of a view."""
    if view == UNTURNED:
        return probs
    quarter, flipped = view
    return (probs.flip(-1) if flipped else probs).rot90(-quarter, PLANE)
