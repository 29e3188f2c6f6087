"""``segexp view``: cases of a run, or predicted masks, in a window of napari."""

from pathlib import Path

from segexp.commands.arguments import REQUIRED, own_arguments, parse
from segexp.errors import did_you_mean
from segexp.prediction.record import NAME
from segexp.prediction.which import paths_of
from segexp.runs.folder import RECORD
from segexp.viewers.gallery import Gallery
from segexp.viewers.window import open_window, require_installed, require_napari

DEFAULTS = {"path": REQUIRED, "case": "", "images": ""}
COMMENTS = {
    "path": "run folder (several with commas: the mean of their probabilities), or folder that segexp predict has "
    "written; path= may be left out",
    "case": "names of cases, with commas; empty = of a run the worst, median and best that it was scored on, of "
    "predictions all",
    "images": "of predictions: folder or pattern of the images, where they are no longer where they were",
    "…": "of a run all else is an override, such as paths.data=<where the data lie now>",
}


def view(words: list[str]) -> None:
    """Open a window with image, truth, prediction and error, and wait until it is closed.

    Raises:
        FileNotFoundError: There is no such run or folder, or the data are not there.
        ImportError: napari is not installed.
        ValueError: A word is wrong, a file is broken, or there is no such case.
    """
    if not {"--help", "-h"} & set(words):
        require_installed()  # before anything is predicted
    open_window(gallery_of(words))
    require_napari().run()


def gallery_of(words: list[str]) -> Gallery:
    """Find, and of a run predict, what the arguments of the command ask for.

    Raises:
        FileNotFoundError: There is no such run or folder, or the data are not there.
        ValueError: A word is wrong, a file is broken, or there is no such case.
    """
    if words and "=" not in words[0] and not words[0].startswith("-"):
        words = [f"path={words[0]}", *words[1:]]
    mine, more = own_arguments(words, list(DEFAULTS))
    given = parse(mine, DEFAULTS, COMMENTS, "view")
    cases = [name.strip() for name in given["case"].split(",") if name.strip()]
    paths = paths_of(given["path"])
    if (paths[0] / NAME).is_file():
        if more:
            near = did_you_mean(more[0].partition("=")[0], DEFAULTS)
            raise ValueError(f"{more[0]}: predictions have no such key{near}; --help lists them")
        from segexp.viewers.of_predictions import open_predictions

        return open_predictions(paths[0], cases, given["images"])
    if not (paths[0] / RECORD).is_file():
        raise FileNotFoundError(
            f"{paths[0]} holds neither {RECORD} nor {NAME}: give the folder of a run, or one that segexp predict has "
            "written"
        )
    from segexp.training.warnings import quiet  # PyTorch takes seconds
    from segexp.viewers.of_run import open_run

    quiet()
    return open_run([Path(path) for path in paths], cases, more)
