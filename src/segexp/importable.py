"""Where modules of the user's own are found: the working directory, folders of configuration, and beside these."""

import sys
from collections.abc import Iterable
from pathlib import Path


def make_importable(config_dirs: Iterable[Path | str] = ()) -> None:
    """Let Python find modules in the working directory, in folders of configuration and in the folders that hold those.

    They come after all that is installed, so that a file of somebody else's in the working directory, such as numpy.py,
    takes no package's place.
    """
    folders = [Path.cwd()]
    for config_dir in config_dirs:
        own = Path(config_dir).absolute()
        folders += [own.parent, own]
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.append(folder)
