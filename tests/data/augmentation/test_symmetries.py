import albumentations as A
import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from segexp.config import config_dir
from segexp.data import AffineElastic, Augment, QuarterTurns

SQUARE, OBLONG, VOLUME = (16, 16), (16, 24), (8, 16, 16)


class Mirrored(A.HorizontalFlip):
    """A user's own, which tells what it shows."""

    def symmetries(self, size):
        return ["flip_z"] if len(size) == 3 else []


@pytest.mark.parametrize(
    ("transforms", "flips", "size", "expected"),
    [
        ([], [], SQUARE, []),
        ([], ["x", "z"], VOLUME, ["flip_z", "flip_x"]),
        ([A.HorizontalFlip(p=0.1)], [], SQUARE, ["flip_x"]),
        ([A.HorizontalFlip(p=0), A.VerticalFlip()], [], SQUARE, ["flip_y"]),
        ([QuarterTurns()], [], SQUARE, ["quarter_turn"]),
        ([QuarterTurns()], ["y"], OBLONG, ["flip_y", "half_turn"]),
        ([A.RandomRotate90(), A.Transpose()], [], VOLUME, ["quarter_turn", "transpose"]),
        ([A.D4()], [], SQUARE, ["flip_x", "quarter_turn"]),
        ([A.Affine(rotate=(-180, 180))], [], SQUARE, ["quarter_turn"]),
        ([A.Rotate(limit=180)], [], SQUARE, ["quarter_turn"]),
        ([A.Affine(rotate=(-90, 90)), A.Rotate(limit=45)], [], SQUARE, []),
        ([A.OneOf([A.HorizontalFlip(), A.Sequential([A.VerticalFlip()])])], [], SQUARE, ["flip_y", "flip_x"]),
        ([A.RandomGamma(), AffineElastic()], [], VOLUME, []),
        ([AffineElastic(degrees=180)], [], VOLUME, ["quarter_turn"]),
        ([Mirrored()], [], VOLUME, ["flip_z"]),
    ],
)
def test_what_transforms_show(transforms, flips, size, expected):
    assert Augment(transforms, flips).symmetries(size) == expected


@pytest.mark.parametrize("name", sorted(path.stem for path in (config_dir() / "augment").glob("*.yaml")))
@pytest.mark.parametrize("size", [SQUARE, OBLONG, VOLUME])
def test_mirror_images_that_a_preset_tells_of_are_drawn_and_no_others(name, size):
    """Of its flips and quarter turns, which move whole pixels."""
    node = OmegaConf.to_container(OmegaConf.load(config_dir() / "augment" / f"{name}.yaml"))
    exact = [each for each in node["transforms"] if each["_target_"].endswith("QuarterTurns")]
    augment = instantiate(node | {"transforms": exact}, _convert_="all")
    told = augment.symmetries(size)
    mask = np.arange(np.prod(size), dtype=np.int32).reshape(size)
    drawn = {
        augment(np.zeros((1, *size), np.float32), mask, None, np.random.default_rng(seed))[1].tobytes()
        for seed in range(60)
    }
    mirrored = {"flip_z": np.flip(mask, -3) if len(size) == 3 else None, "flip_y": np.flip(mask, -2)}
    mirrored |= {"flip_x": np.flip(mask, -1), "half_turn": np.rot90(mask, 2, (-2, -1))}
    mirrored |= {"quarter_turn": np.rot90(mask, 1, (-2, -1)), "transpose": np.swapaxes(mask, -2, -1)}
    for word in told:
        assert mirrored[word].tobytes() in drawn
    if not told:
        assert drawn == {mask.tobytes()}
