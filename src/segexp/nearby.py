"""Options of the user's own that lie in the working directory, in the folder conf: found by their names."""

import re
from collections.abc import Sequence
from pathlib import Path

from segexp.config import config_dir, split_config_dirs

FOLDER = "conf"
CHOICE = re.compile(r"([\w/]+)(?:@[\w.]+)?=([\w,-]+)")  # of an option of a group; of several, in a sweep


def with_own_options(arguments: Sequence[str]) -> list[str]:
    """Read conf/ of the working directory, as ``--config-dir conf`` does, where a chosen option lies there alone.

    Args:
        arguments: Command line.

    Returns:
        It, with that option in front if it is needed: ``data=mine`` with conf/data/mine.yaml, which segexp has not.
    """
    folder = Path(FOLDER)
    if not folder.is_dir() or folder.resolve() == config_dir().resolve():
        return list(arguments)
    given, words = split_config_dirs(arguments)
    if any(Path(one).resolve() == folder.resolve() for one in given):
        return list(arguments)
    for choice in filter(None, map(CHOICE.fullmatch, words)):
        for option in choice[2].split(","):
            place = Path(choice[1]) / f"{option}.yaml"
            if (folder / place).is_file() and not (config_dir() / place).is_file():
                return [f"--config-dir={FOLDER}", *arguments]
    return list(arguments)
