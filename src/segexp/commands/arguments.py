"""Arguments of a command without Hydra's configuration: ``key=value``, each key with a default and a comment."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from segexp.errors import did_you_mean, require_choice
from segexp.terminal import two_columns

REQUIRED = "???"  # a key that has no default: the command line must give it, as text


def parse(
    arguments: Sequence[str], defaults: Mapping[str, Any], comments: Mapping[str, str] | None = None, command: str = ""
) -> dict[str, Any]:
    """Read the arguments of a command; of a key that comes twice the last value counts.

    Where the default is text, or ``REQUIRED``, the value is taken as it stands, so that paths and patterns such as
    ``*.png`` need no quotes of YAML. Where it is true or false, so must be the value. All else is read as YAML.

    Args:
        arguments: Arguments such as ["run=outputs/a", "tile=[128, 128]"]. ``--help`` or ``-h`` prints the keys and ends
            the program.
        defaults: Value of every key that may be given.
        comments: Text that ``--help`` shows for a key, unit and allowed values included.
        command: Name of the command, for ``--help``.

    Returns:
        The defaults, with the given values in their places.

    Raises:
        ValueError: An argument is no ``key=value``, a key is unknown or lacking, or a value cannot be read.
    """
    if "--help" in arguments or "-h" in arguments:
        print(help_text(defaults, comments or {}, command))
        raise SystemExit(0)
    given = dict(defaults)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in defaults and not equals:
            first = next(iter(defaults))
            raise ValueError(
                f"{argument!r} is no key=value, such as {first}={argument}; there are: {', '.join(defaults)}"
            )
        if key not in defaults and key.lstrip("-") in defaults:
            raise ValueError(f"{key}: keys have no dashes: write {argument.lstrip('-')}")
        if key not in defaults:
            raise ValueError(f"{key}: no such key{did_you_mean(key, defaults)}; there are: {', '.join(defaults)}")
        if not equals:
            raise ValueError(f"{argument} lacks its value: write {argument}=<value>")
        given[key] = _value(key, value, defaults[key])
    lacking = [key for key, value in given.items() if value == REQUIRED]
    if lacking:
        raise ValueError(f"{', '.join(f'{key}=<value>' for key in lacking)} must be given: --help says what it is")
    return given


def own_arguments(arguments: Sequence[str], keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the arguments of a command: those with one of the keys or asking for help, and all others."""
    own = [argument for argument in arguments if argument.partition("=")[0] in (*keys, "--help", "-h")]
    return own, [argument for argument in arguments if argument not in own]


def help_text(defaults: Mapping[str, Any], comments: Mapping[str, str], command: str = "") -> str:
    """List the keys with their defaults and comments."""
    texts = {}
    for key, value in defaults.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        texts[key] = f"{key}={'<must be given>' if value == REQUIRED else shown}"
    texts |= {key: key for key in comments if key not in defaults}
    lines = two_columns({text: comments.get(key, "") for key, text in texts.items()})
    return "\n".join([f"usage: segexp {command} [key=value ...]".replace("  ", " "), "", *lines])


def _value(key: str, text: str, default: Any) -> Any:
    if isinstance(default, str):
        if not text:
            raise ValueError(f"{key}= is empty: write {key}=<value>, or leave the key out")
        return text
    if isinstance(default, bool):
        require_choice(key, text.lower(), ("true", "false"))
        return text.lower() == "true"
    if re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", text):
        return float(text)  # YAML 1.1 reads 1e-3 as text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{key}={text} cannot be read as YAML: correct it, or put it in quotes") from error
