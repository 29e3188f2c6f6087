"""``segexp suggest``: which of the unlabeled images to label next."""

from segexp.cli import loaded
from segexp.commands.arguments import REQUIRED, parse
from segexp.commands.predict import COMMENTS as OF_PREDICT
from segexp.errors import require_at_least
from segexp.prediction.settings import Settings
from segexp.prediction.which import paths_of, require_input, require_networks
from segexp.trust import OPTIONS, Vouched

OF_SETTINGS = ("tta", "allow_unseen_views", "device", "tile", "overlap", "batch_size", "strict")
ALIKE = ("channels_by_suffix", "spacing")  # keys that mean what they mean to predict
DEFAULTS = {
    **dict.fromkeys(("run", "input"), REQUIRED),
    "output": "suggested",
    "count": 20,
    "diversity": 0.5,
    "labeled": "",
    "pictures": 12,
    **{key: getattr(Settings(), key) for key in OF_SETTINGS},
    **dict.fromkeys(ALIKE),
}
COMMENTS = {
    **{key: OF_PREDICT[key] for key in ("run", *OF_SETTINGS, *ALIKE)},
    "input": 'unlabeled images: file, folder, or pattern such as "scans/**/*.nii.gz"',
    "output": "folder for suggestions.csv and suggestions.png; earlier ones make way",
    "count": "images to suggest, 1 or more",
    "diversity": "0 = the most uncertain images, 1 = those farthest from each other, or between",
    "labeled": "images that are labeled already, like input: suggestions shall be unlike these, too; empty = none",
    "pictures": "suggestions that are drawn, 0 or more",
    **OPTIONS,
}


def suggest(words: list[str]) -> None:
    """Rank unlabeled images by what labeling them is expected to be worth; leave a table and a contact sheet.

    Raises:
        FileNotFoundError: There is no such run or input.
        ValueError: An argument is wrong, or no image can be read.
        SystemExit: With status 1, some images could not be read.
    """
    vouched, words = Vouched.of(words)
    arguments = parse(words, DEFAULTS, COMMENTS, "suggest")
    require_at_least("count", arguments["count"], 1, integer=True)
    require_at_least("pictures", arguments["pictures"], 0, integer=True)
    require_networks(paths_of(arguments["run"]))
    require_input(arguments["input"])
    settings = Settings(**{key: arguments[key] for key in OF_SETTINGS}, quality=True)
    loaded("suggesting", "suggest_images")(arguments, settings, vouched)
