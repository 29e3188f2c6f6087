"""``segexp predict``: masks of new images, from one trained network or several, each in the geometry of its file."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from segexp.cli import loaded
from segexp.commands.arguments import REQUIRED, parse
from segexp.errors import require_choice
from segexp.prediction.settings import MASK_FORMATS, Settings
from segexp.prediction.which import paths_of, require_input, require_networks
from segexp.trust import OPTIONS, Vouched

SETTINGS = {field.name: field.default for field in fields(Settings)}
DEFAULTS = {
    **dict.fromkeys(("run", "input", "output"), REQUIRED),
    **SETTINGS,
    "flag": False,
    "flag.false_alarms": 0.05,
    "flag.good": 0.0,
    "format": "auto",
    "overlays": False,
    "measure": False,
    "overwrite": False,
    "spacing": None,
    "channels_by_suffix": None,
}
COMMENTS = {
    "run": "run folder (its best epoch), checkpoint or exported .safetensors; several with commas are averaged, "
    "and so are the runs in a folder, such as that of a sweep over folds",
    "input": 'file, folder (also of a DICOM series), or pattern such as "scans/**/*.nii.gz"',
    "output": "folder",
    "probabilities": "also NAME_probabilities.npy: (classes, *axes of the mask) float16; true, false",
    "uncertainty": "also NAME_entropy and, of several networks or views, NAME_std; true, false",
    "quality": "also quality.csv: the Dice that each mask is likely to have (after segexp evaluate quality=true); "
    "true, false",
    "flag": "also mark the masks that should be looked at, in quality.csv and at the end; true, false",
    "flag.false_alarms": "fraction of good cases like those of validation that may be marked, above 0 and below 1",
    "flag.good": "Dice from which on a validation case is a good one, 0 to 1; 0 = any above 0",
    "format": "of the masks: auto (that of the input; beside volumes labels.txt, for ITK-SNAP), seg.nrrd (3D Slicer; "
    "names, colors, overlapping regions), imagej (TIFF with names and a look-up table of colors)",
    "overlays": "also NAME_overlay.png, the mask on the image; true, false",
    "measure": "also NAME_objects.csv: size, place, shape and intensity of every object of every class; true, false",
    "tta": "average over views of each tile: none, flips (4), turns (8: flips and quarter turns), seen (all that the "
    "training showed), or some of flip_z, flip_y, flip_x, half_turn, quarter_turn, transpose, with commas",
    "allow_unseen_views": "average over views that the training never showed, too; true, false",
    "adapt": "weight of an image's own statistics in batch norms, 0 (as trained) to 1 (its own alone); then it takes "
    "twice the time",
    "overwrite": "predict again what is there, also what was made of another input, by another model or with other "
    "settings, which is refused else; true, false",
    "strict": "refuse inputs that are far from what the training saw, instead of a warning; true, false",
    "device": "auto (a GPU where there is one), cpu, cuda, cuda:1, mps",
    "tile": "px, one side for all axes or [..]; whole = the image in one go; null = as in training",
    "overlap": "fraction of a tile in common with the next one, or whole px, one or [..]; null = as in training",
    "border": "px added beyond the image, or auto; null = as in training",
    "blending": "of overlapping tiles: gaussian, constant; null = as in training",
    "sigma": "of gaussian blending, fraction of the tile, one or [..]; null = as in training",
    "padding_mode": "beyond the image: reflect, replicate, constant (0); null = as in training",
    "batch_size": "tiles at a time; null = as in training",
    "accumulate": "where tiles are added up: device; cpu where overlaps are too large for a GPU",
    "postprocess": "apply the steps that the run keeps (segexp evaluate tune=true); true, false",
    "channels_by_suffix": "NAME_0000.*, NAME_0001.* … are the channels of one case; true, false; null = as in training",
    "spacing": "size of a pixel per axis, of flat images and stacks, in the unit of the training: [0.5, 0.5]",
    **OPTIONS,
}


def predict(words: list[str]) -> None:
    """Predict files one after the other; continue after one that cannot be predicted.

    Raises:
        FileNotFoundError: There is no such run or input.
        ValueError: An argument is wrong, the runs do not go together, outputs would take the place of inputs, or the
            record of the output folder cannot be read.
        SystemExit: With status 1, some inputs could not be predicted.
    """
    vouched, words = Vouched.of(words)
    arguments = _parsed(words)
    require_networks(paths_of(arguments["run"]))
    require_input(arguments["input"])
    loaded("predicting", "predict_files")(arguments, vouched)


def _parsed(words: Sequence[str]) -> dict[str, Any]:
    """Read the arguments, and refuse values that are no choices."""
    arguments = parse(words, DEFAULTS, COMMENTS, "predict")
    require_choice("channels_by_suffix", arguments["channels_by_suffix"], (None, True, False))
    require_choice("format", arguments["format"], MASK_FORMATS)
    return arguments
