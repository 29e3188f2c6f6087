"""``segexp completion``: commands, options, groups and keys complete in the shell.

The scripts ask this program what fits: ``segexp completion words <words of the line>`` prints it, one per line.
"""

import ast
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.plugins.completion_plugin import DefaultCompletionPlugin

from segexp.cli import COMMANDS, WITHOUT_CONFIGURATION
from segexp.config import config_dir, own_options, register_resolvers, search_path, split_config_dirs
from segexp.errors import require_choice

SCRIPTS = {
    "bash": r"""_segexp() {
    local line="${COMP_LINE:0:COMP_POINT}" word start found
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word="${words[${#words[@]}-1]}"
    # Readline breaks words at = and :, and replaces what follows alone.
    start="${word%"${word##*[=:]}"}"
    COMPREPLY=()
    while IFS= read -r found; do
        [[ $found == *[=./] ]] || found+=" "
        COMPREPLY+=("${found#"$start"}")
    done < <(segexp completion words "${words[@]:1}" 2> /dev/null)
}
complete -o nospace -o default -F _segexp segexp""",
    "zsh": r"""#compdef segexp
_segexp() {
    local -a found
    found=("${(@f)$(segexp completion words "${(@)words[2,CURRENT]}" 2> /dev/null)}")
    found=(${found:#})
    if (( ! $#found )); then
        _files
        return
    fi
    compadd -S '' -- ${(M)found:#*[=./]}
    compadd -- ${found:#*[=./]}
}
(( $+functions[compdef] )) || { autoload -Uz compinit; compinit; }
compdef _segexp segexp""",
    "fish": r"""function __segexp_words
    set -l before (commandline -opc)
    set -l found (segexp completion words $before[2..-1] (commandline -ct | string collect --allow-empty) 2> /dev/null)
    if test (count $found) -gt 0
        string join \n -- $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c segexp -f -a '(__segexp_words)'""",
}
HELP = """usage: segexp completion bash|zsh|fish

Prints the script that completes commands, options, groups and keys. To have it in every shell:
  bash  eval "$(segexp completion bash)"      in ~/.bashrc
  zsh   eval "$(segexp completion zsh)"       in ~/.zshrc
  fish  segexp completion fish | source       in ~/.config/fish/config.fish"""


def completion(arguments: Sequence[str]) -> None:
    """Print the script of a shell, or what completes the last word of a line.

    Args:
        arguments: Name of a shell; or "words" and the words of a line after the program, the last of them unfinished.

    Raises:
        ValueError: There is no script for this shell.
    """
    if not arguments or arguments[0] in ("--help", "-h"):
        print(HELP)
    elif arguments[0] == "words":
        with suppress(Exception):  # a shell that waits for words wants no messages
            for word in completing(arguments[1:]):
                print(word)
    else:
        require_choice("shell", arguments[0], list(SCRIPTS))
        print(SCRIPTS[arguments[0]])


def completing(words: Sequence[str]) -> list[str]:
    """Words that complete the last one of a line.

    Args:
        words: Words of the line after the program, the last of them unfinished or empty.
    """
    found: Sequence[str] = []
    if len(words) < 2:
        found = list(COMMANDS)
    elif words[0] == "completion":
        found = list(SCRIPTS)
    elif words[0] in WITHOUT_CONFIGURATION:
        found = _own_words(words[0])
    elif words[0] in COMMANDS:
        return _overrides(words[0], words[1:])
    return [word for word in found if word.startswith(words[-1] if words else "")]


def _overrides(command: str, words: Sequence[str]) -> list[str]:
    """What Hydra finds: options of groups, keys, and the present value of a key."""
    if words[-1].startswith("-"):
        flags = [flag for action in get_args_parser()._actions for flag in action.option_strings]
        return [flag for flag in flags if flag.startswith(words[-1]) and flag not in ("-sc", "--shell-completion")]
    if len(words) > 1 and words[-2] in ("--config-dir", "-cd", "--cfg", "-c", "--package", "-p"):
        return []
    folders, others = split_config_dirs(words)
    before = [word for word in others[:-1] if not word.startswith("-")]
    places = search_path([Path(folder).absolute() for folder in folders])
    register_resolvers()
    with own_options(), initialize_config_dir(str(config_dir()), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        plugin = DefaultCompletionPlugin(hydra.config_loader)
        primary = "train" if command == "replay" else command
        return plugin._query(primary, " ".join([*places, *before, words[-1]]) or " ")


def _own_words(command: str) -> list[str]:
    """Keys and options of a command with arguments of its own, from its source: to import it would take seconds."""
    tree = ast.parse(Path(__file__).with_name(f"{command.replace('-', '_')}.py").read_text(encoding="utf-8"))
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("DEFAULTS", "COMMENTS"):
            keys = _texts(node.value.keys) if isinstance(node.value, ast.Dict) else []
            found += [f"{key}=" for key in keys if key.isidentifier()]
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            found += [word for word in _texts(node.args) if word.startswith("--")]
    return list(dict.fromkeys(found))


def _texts(nodes: Sequence[ast.expr | None]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
