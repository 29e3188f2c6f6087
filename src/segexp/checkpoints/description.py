"""What a checkpoint or package says of its network: a type, read from plain values key by key, within bounds.

Files may come from strangers. Nothing here builds, imports or opens what a file names.
"""

import math
from dataclasses import dataclass
from typing import Any, Self, TypedDict

from segexp.checkpoints.quality import Calibration, require_calibrations
from segexp.checkpoints.rules import (
    Rule,
    either,
    maybe,
    named,
    number,
    one_of,
    require_fields,
    require_small,
    several,
    shown,
    text,
    whole,
)
from segexp.data.description import DataDescription
from segexp.data.field_of_view import FIELDS_OF_VIEW
from segexp.data.intensity.named import rule_from
from segexp.inference.views import WORDS
from segexp.postprocessing.postprocess import STEPS, PostProcess, Steps

MOST_TILE_PIXELS = 2**27  # 512 x 512 x 512
SIDE = whole(1, 65_536)
SCALAR = either(one_of(True, False, None), number(-1e30, 1e30), text())
PLAIN = either(SCALAR, several(SCALAR, 0, 1000))
DESCRIPTION = {
    "network": text(200),
    "model": Rule("a mapping", lambda value: type(value) is dict),
    "signature": maybe(text(64)),
    "activation": one_of("softmax", "sigmoid"),
    "class_names": several(text(), 1, 1000),
    "label_values": several(number(-(2**32), 2**32), 1, 1000),
    "regions": maybe(named(several(whole(0, 999), 1, 1000))),
    "channels": whole(1, 4096),
    "spatial_dims": one_of(2, 3),
    "context": whole(0, 100),
    "slice_axis": one_of(0, 1, 2),
    "spacing": maybe(several(number(1e-9, 1e9), 2, 3)),
    "spacing_unit": one_of("files", "px"),
    "distance_unit": one_of("px", "mm"),
    "patch_size": several(SIDE, 2, 3),
    "intensity": named(either(PLAIN, maybe(named(several(number(-1e30, 1e30), 1, 4096), 10))), 10),
    "field_of_view": maybe(one_of(*FIELDS_OF_VIEW)),
    "channels_by_suffix": one_of(True, False),
    "reference": maybe(Rule("a mapping", lambda value: type(value) is dict)),
    "symmetries": maybe(several(one_of(*WORDS), 0, len(WORDS))),
    "chosen": named(number(-1e30, 1e30)),
    "inference": named(PLAIN, 7),
    "postprocess": maybe(named(named(either(PLAIN, named(PLAIN, 1000)), 20), len(STEPS))),
    "quality": Rule("a list", lambda value: type(value) is list),
    "plan": maybe(several(text(1000), 1, 1000)),
    "segexp_version": text(50),
}
NUMBERS = several(either(number(0, 1e9), several(number(0, 1e9), 1, 3)), 1, 16)  # per level, or per level and axis
ARGUMENTS = named(either(PLAIN, NUMBERS), 100)  # of a network of ours
LATER: dict[str, Any] = {  # keys that files of earlier versions lack
    "channels_by_suffix": False,
    "plan": None,
    "quality": [],
    "reference": None,
    "symmetries": None,
    "signature": None,
    "spacing_unit": "files",
}
PER_CHANNEL = several(number(-1e30, 1e30), 1, 4096)
PER_AXIS = several(number(1e-9, 1e9), 2, 3)
REFERENCE = {
    "cases": whole(1, 2**31),
    "least": several(several(number(-1e30, 1e30), 3, 3), 1, 4096),
    "most": several(several(number(-1e30, 1e30), 3, 3), 1, 4096),
    "narrowest": PER_CHANNEL,
    "widest": PER_CHANNEL,
    "least_size": several(whole(1, 2**31), 2, 3),
    "most_size": several(whole(1, 2**31), 2, 3),
    "unit": one_of("px", "mm"),
    "least_spacing": PER_AXIS,
    "most_spacing": PER_AXIS,
    "colored": one_of(True, False),
    "descending": several(whole(0, 4095), 0, 4096),
    "orientations": several(text(3), 0, 48),
    "tilt": number(0, 90),
}
OVERLAP = Rule(
    "a fraction from 0 to below 1, or a whole number of px",
    lambda value: (type(value) in (int, float) and 0 <= value < 1) or (type(value) is int and 1 <= value <= 65_536),
)
INFERENCE = {
    "tile": maybe(either(SIDE, several(SIDE, 2, 3))),
    "overlap": either(OVERLAP, several(OVERLAP, 2, 3)),
    "border": either(one_of("auto"), whole(0, 65_536)),
    "blending": one_of("gaussian", "constant"),
    "batch_size": whole(1, 4096),
    "sigma": either(number(1e-3, 1e3), several(number(1e-3, 1e3), 2, 3)),
    "padding_mode": one_of("reflect", "replicate", "constant"),
}
LATER_INFERENCE = {"sigma": 0.125, "padding_mode": "reflect"}  # keys that files of earlier versions lack


class Tiling(TypedDict):
    """Arguments of ``TiledPredictor`` that a network was validated with."""

    tile: int | list[int] | None
    overlap: float | list[float]
    border: int | str
    blending: str
    batch_size: int
    sigma: float | list[float]
    padding_mode: str


@dataclass(frozen=True)
class ModelDescription(DataDescription):
    """A trained network in plain values: all that predicting with it needs beside its weights.

    Attributes:
        network: Name of its class; of a class that is none of segexp's its dotted path.
        model: Arguments of its class; of one that is none of segexp's nested ones, too, with ``_target_`` for others
            that are to be built.
        signature: Signature of the two by the user who trained it, see `segexp.runs.ownership`; None = not signed.
        activation: Function from logits to probabilities, "softmax" or "sigmoid".
        inference: How whole images are tiled.
        chosen: What was chosen on validation cases, such as a threshold.
        postprocess: Post-processing steps and their settings; None = none.
        quality: How measures of a case become an estimate of its Dice; empty = not known.
        plan: Lines of the plan that chose its settings, an experiment file with reasons; None = there was none.
        segexp_version: Version that trained it.
    """

    network: str
    model: dict[str, Any]
    signature: str | None
    activation: str
    inference: Tiling
    chosen: dict[str, float]
    postprocess: Steps | None
    quality: list[Calibration]
    plan: list[str] | None
    segexp_version: str

    @classmethod
    def from_plain(cls, plain: Any, where: str) -> Self:
        """Check what a file says, key by key.

        Args:
            plain: Values as they were read.
            where: File, for messages.

        Raises:
            ValueError: A key is missing or unknown, or a value is not what it must be; names file, key, value and rule.
        """
        if isinstance(plain, dict):
            plain = LATER | plain
            if isinstance(plain.get("inference"), dict):
                plain = plain | {"inference": LATER_INFERENCE | plain["inference"]}
        if isinstance(plain, dict) and "model" in plain:
            require_arguments(str(plain.get("network")), plain["model"], where)
        # What is to be built is checked on its own: nowhere else may a file name a class.
        told = isinstance(plain, dict) and "model" in plain
        require_fields(plain | {"model": {}} if told else plain, DESCRIPTION, where)
        require_fields(plain["inference"], INFERENCE, f"{where}: inference")
        if plain["reference"] is not None:
            _require_reference(plain["reference"], plain["channels"], f"{where}: reference")
        require_calibrations(plain["quality"], f"{where}: quality")
        # From here on each value has its type; what is left is whether they go together.
        description = cls(**plain)
        description._require_classes(where)
        dims = description.spatial_dims
        for key, size in (("patch_size", description.patch_size), ("inference.tile", description.inference["tile"])):
            sides = [size] * dims if isinstance(size, int) else size or [1] * dims
            if len(sides) != dims or math.prod(sides) > MOST_TILE_PIXELS:
                raise ValueError(f"{where}: {key}={size} must have {dims} sides and {MOST_TILE_PIXELS} pixels at most")
        for key, make in (("intensity", rule_from), ("postprocess", PostProcess)):
            try:
                make(plain[key] or {})
            except (ValueError, TypeError) as error:
                raise ValueError(f"{where}: {key}: {error}") from error
        return description

    def to_plain(self) -> dict[str, Any]:
        """Return the values for a checkpoint or JSON file, in the order in which they are documented."""
        return {key: getattr(self, key) for key in DESCRIPTION}

    def _require_classes(self, where: str) -> None:
        count, values = len(self.class_names), self.label_values
        if len(values) != count or len(set(values)) != count:
            raise ValueError(
                f"{where}: label_values={shown(values)} must be one each, all different, for {count} classes"
            )
        for name, classes in (self.regions or {}).items():
            if max(classes) >= count:
                raise ValueError(f"{where}: regions: {name!r} has class {max(classes)}, but there are {count} classes")
        if self.regions == {}:
            raise ValueError(f"{where}: regions={{}} must be none or name some")


def require_arguments(network: str, model: Any, where: str) -> None:
    """Refuse arguments of a network that are no plain values; of a network of ours also lists and mappings of lists.

    Raises:
        ValueError: Names file and rule.
    """
    foreign = "." in network
    require_small(model, f"{where}: model", targets=foreign)
    rule = PLAIN_TREE if foreign else ARGUMENTS
    if not rule.holds(model):
        raise ValueError(f"{where}: model={shown(model)} must be {rule.words}")


def _is_plain_tree(value: Any) -> bool:
    """Whether a value, which is small, consists of names, plain values, and lists and mappings of such."""
    if type(value) is dict:
        return all(text().holds(key) and _is_plain_tree(item) for key, item in value.items())
    if type(value) is list:
        return all(map(_is_plain_tree, value))
    return SCALAR.holds(value) or value == "" or text(1000).holds(value)


PLAIN_TREE = Rule(
    "names with plain values, lists and mappings of such", lambda value: type(value) is dict and _is_plain_tree(value)
)


def _require_reference(plain: Any, channels: int, where: str) -> None:
    """Refuse what is no ``Reference``, or one whose lists do not have one number per channel, or axis."""
    require_fields(plain, REFERENCE, where)
    axes = len(plain["least_size"])
    for key, count in (
        *((key, channels) for key in ("least", "most", "narrowest", "widest")),
        *((key, axes) for key in ("most_size", "least_spacing", "most_spacing")),
    ):
        if len(plain[key]) != count:
            raise ValueError(f"{where}: {key} has {len(plain[key])} items, it must have {count}")
