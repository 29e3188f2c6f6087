"""``segexp help``: the commands, and what a command, a group of options or a key of the configuration is."""

from collections.abc import Sequence
from pathlib import Path

from segexp.cli import COMMANDS, WITHOUT_CONFIGURATION
from segexp.config import config_dir
from segexp.errors import did_you_mean
from segexp.keys import Key, groups_of, options_of, read_keys
from segexp.nearby import FOLDER
from segexp.terminal import two_columns, wrapped

GROUPS = {
    "every day": ("train", "predict", "view", "evaluate", "compare", "report"),
    "before": ("adopt", "audit", "preview", "plan"),
    "and": (),  # all others
}
KEYS = {  # most used, of the commands that take the configuration
    "train": (
        *("minutes", "trainer.max_epochs", "data.sampling.patch_size", "data.sampling.batch_size", "data.split.fold"),
        *("optimizer.lr", "seed", "init", "resume", "hydra.run.dir"),
    ),
    "plan": ("minutes", "folder", "name"),
    "audit": ("folder", "pictures"),
    "preview": ("patches", "draws", "path"),
    "replay": ("run",),
    "benchmark": ("subject", "workers", "seconds", "path"),
}
CHOICES = {  # groups that matter most
    "train": ("data", "model", "loss", "augment", "experiment", "trainer"),
    "plan": ("data",),
    "audit": ("data",),
    "preview": ("data", "augment"),
    "replay": (),
    "benchmark": ("data", "model"),
}
EXAMPLES = {
    "train": ("segexp train data=isbi minutes=10", "segexp train -m data=isbi model=unet loss=ce,dice_ce seed=1,2,3"),
    "plan": ("segexp plan data=hippocampus minutes=20",),
    "audit": ("segexp audit data=hippocampus", "segexp audit data=folder data.source.images=a data.source.masks=b"),
    "preview": ("segexp preview data=isbi augment=membrane",),
    "replay": ("segexp replay run=outputs/mine/2026-11-30_10-00-00",),
    "benchmark": ("segexp benchmark data data=isbi", "segexp benchmark step model=unet"),
}
BY_HAND = {  # keys that no file of ours explains
    "hydra.run.dir": "folder of the run; default: below outputs/, by name and time",
    "run": "folder of the run that diverged",
}
PLAIN = ("train", "datamodule", "default", "auto", "adamw")
WIDEST = 20  # characters of a value that is shown
LONGEST = 130  # characters of a comment that is shown beside others, to the end of its first part at least
MOST = 12  # keys that are listed


def help(words: Sequence[str]) -> None:
    """Explain commands, groups and keys.

    Raises:
        ValueError: There is no such command, group or key.
    """
    if not words:
        print(usage())
    for word in words:
        print(explained(word))


def usage() -> str:
    """List the commands, those of every day first."""
    named = {name for names in GROUPS.values() for name in names}
    parts = ["usage: segexp <command> [key=value | group=option ...]"]
    for title, names in GROUPS.items():
        shown = names or [name for name in COMMANDS if name not in named]
        rows = two_columns({name: COMMANDS[name] for name in shown}, max(map(len, COMMANDS)))
        parts.append("\n".join([f"{title}:", *rows]))
    about = "segexp <command> --help explains a command; segexp help <group or key> a setting: segexp help loss"
    parts.append(wrapped(about))
    return "\n\n".join(parts)


def explained(word: str) -> str:
    """Text on a command, a group or a key.

    Raises:
        ValueError: There is none of the name.
    """
    word = word.strip().rstrip("=")
    if word in COMMANDS:
        return of_command(word)
    folders = [folder for folder in (config_dir(), Path(FOLDER)) if folder.is_dir()]
    groups = {group for folder in folders for group in groups_of(folder)}
    if word in groups:
        return _of_group(word, folders)
    keys = [key for folder in folders for key in read_keys(folder)]
    found = _matching(word, keys)
    if not found:
        near = did_you_mean(word, [*COMMANDS, *groups, *(key.name for key in keys)])
        raise ValueError(f"{word}: no command, group or key has this name{near}")
    return "\n".join([_of_key(key) for key in found[:MOST]] + _more(found))


def _more(found: Sequence[Key]) -> list[str]:
    return [f"and {len(found) - MOST} more: give more of the name"] if len(found) > MOST else []


def _matching(word: str, keys: Sequence[Key]) -> list[Key]:
    """Keys of this name, or whose name ends with it; files that only change a value are left out."""
    exact = [key for key in keys if key.name == word]
    found = exact or [key for key in keys if key.name.endswith(f".{word}")]
    told = [key for key in found if key.comment]
    first: dict[tuple[str, str], Key] = {}
    for key in told or found[:1]:
        first.setdefault((key.name, key.comment), key)
    return list(first.values())


def _of_key(key: Key) -> str:
    value = f"={key.value}" if key.value else ""
    about = wrapped(f"    {key.comment or 'no comment: its class explains it'}", 4)
    return f"{key.name}{value}   (conf/{key.place})\n{about}"


def _of_group(group: str, folders: Sequence[Path]) -> str:
    options = {name: what for folder in folders for name, what in options_of(folder, group).items()}
    return "\n".join([f"{group}=<option>:", *two_columns(options)])


def of_command(command: str) -> str:
    """Text on a command: what it does, its groups, most used keys, examples."""
    if command in WITHOUT_CONFIGURATION:
        return f"segexp {command}: {COMMANDS[command]}; segexp {command} --help lists its keys"
    keys = _plainest(read_keys(config_dir()), command)
    parts = [f"segexp {command}: {COMMANDS[command]}"]
    if CHOICES[command]:
        rows = [_choices(group) for group in CHOICES[command]]
        parts.append("\n".join(["choices (segexp help <group> explains them):", *rows]))
    texts = {name: f"{name}={_short(keys[name].value)}" if name in keys else f"{name}=" for name in KEYS[command]}
    comments = {text: keys[name].comment if name in keys else BY_HAND[name] for name, text in texts.items()}
    rows = two_columns({text: _head(comment) for text, comment in comments.items()})
    parts.append("\n".join(["keys used most (segexp help <key> explains any):", *rows]))
    parts.append("\n".join(["examples:", *(f"  {example}" for example in EXAMPLES[command])]))
    about = (
        "All settings with their values: --cfg job. Combinations: -m. Options of Hydra: --hydra-help. A folder of "
        "options of your own: --config-dir."
    )
    parts.append(wrapped(about))
    return "\n\n".join(parts)


def _plainest(keys: Sequence[Key], command: str) -> dict[str, Key]:
    """Of each name the key in the file of a command, else in one that others build on or that is chosen by itself."""

    def order(key: Key) -> tuple[bool, bool, bool]:
        return key.place != f"{command}.yaml", Path(key.place).stem not in PLAIN, not key.comment

    return {key.name: key for key in sorted(keys, key=order, reverse=True)}


def _head(comment: str) -> str:
    """First parts of a comment, as whole as they are written."""
    parts = comment.split("; ")
    fitting = [count for count in range(1, len(parts) + 1) if len("; ".join(parts[:count])) <= LONGEST]
    kept = parts[: max(fitting, default=1)]
    return "; ".join(kept) + ("" if len(kept) == len(parts) else "; …")


def _short(value: str) -> str:
    """Value where it is plain and short."""
    return "" if "${" in value or len(value) > WIDEST else value


def _choices(group: str) -> str:
    options = ", ".join(options_of(config_dir(), group))
    return wrapped(f"  {group}= {options}", len(group) + 4)
