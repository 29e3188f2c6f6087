"""``segexp adopt``: look at images and masks of the user's own, and write an option of the group data for them."""

import re
import shlex
from pathlib import Path

from segexp.commands.arguments import REQUIRED, parse
from segexp.config import config_dir
from segexp.data.adoption import adopt as adopted
from segexp.nearby import FOLDER
from segexp.writing import write_text

DEFAULTS = {"name": REQUIRED, "images": None, "masks": None, "csv": None, "folder": FOLDER, "overwrite": False}
COMMENTS = {
    "name": "of the option: data=NAME chooses it from then on",
    "images": "folder of the images, or of images and masks",
    "masks": "folder of the masks; null = they lie with the images, in a subfolder or by their names",
    "csv": "in place of both, a CSV file with columns image and mask (docs/data.md)",
    "folder": "folder of configuration files that it is written to, as data/NAME.yaml",
    "overwrite": "replace an option of that name; true, false",
}


def adopt(words: list[str]) -> None:
    """Write conf/data/NAME.yaml for images and masks, and say what was found and what could not be.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ValueError: An argument is wrong, files do not pair, or what they hold is not understood.
    """
    given = parse(words, DEFAULTS, COMMENTS, "adopt")
    name, path = given["name"], Path(given["folder"]) / "data" / f"{given['name']}.yaml"
    if not re.fullmatch(r"\w[\w-]*", name):
        raise ValueError(f"name={name} must be letters, digits, _ and -: it becomes data={name}")
    if bool(given["images"]) == bool(given["csv"]):
        raise ValueError("give images=FOLDER (and masks=FOLDER), or csv=FILE")
    ours = config_dir() / "data" / f"{name}.yaml"
    if ours.is_file() and ours.resolve() != path.resolve():
        raise ValueError(f"name={name}: segexp has an option data={name}; choose another name")
    if path.is_file() and not given["overwrite"]:
        raise ValueError(f"{path} is there: choose another name, or overwrite=true")
    images, masks, csv = (None if given[key] is None else Path(str(given[key])) for key in ("images", "masks", "csv"))
    found = adopted(images, masks, csv, shlex.join(["segexp", "adopt", *words]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, found.text)
    _tell(path, name, found.found, found.unknown)


def _tell(path: Path, name: str, found: list[str], unknown: list[str]) -> None:
    folder = path.parent.parent
    read = folder.resolve() in (config_dir().resolve(), Path(FOLDER).resolve())
    option = [] if read else ["--config-dir", str(folder)]
    print("\n".join(f"found  {line}" for line in found))
    print("\n".join(f"open   {line}" for line in unknown))
    print(path)
    for verb, what in (
        (["audit"], "look for what is wrong"),
        (["preview"], "look at patches"),
        (["train"], "10 minutes by a plan"),
    ):
        print(f"{shlex.join(['segexp', *verb, *option, f'data={name}'])}  # {what}")
