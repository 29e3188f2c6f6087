"""Every command of README, documentation and notebooks: run, or, where its block is marked as too long, checked.

A block is marked by a comment on the line above it: ``<!-- too long: why -->``, ``<!-- needs: what -->``, or
``<!-- tiny -->`` for a training that ``make test-slow`` runs with the overrides of a tiny one. Marked blocks are
checked: overrides compose, keys and options exist. All others are run, in a folder with the example project, runs,
images, masks and the files that the pages show, ``<!-- file: path -->``; what they show of the example stands in it.
"""

import argparse
import importlib
import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override

from segexp.cli import COMMANDS, WITHOUT_CONFIGURATION, main
from segexp.commands.arguments import parse
from segexp.config import compose, split_config_dirs
from tests.conftest import HERE, ROOT, SMALL, TINY, trained, write_pairs

PATTERNS = (
    "README.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "docs/*.md",
    "experiments/*/README.md",
    "examples/*/README.md",
)
PAGES = [path for pattern in PATTERNS for path in sorted(ROOT.glob(pattern))]
EXAMPLE = ROOT / "examples" / "my_project"
GENERATED = re.compile(r"<!-- (benchmarks\.\w+|coverage|segexp: .*?|table: .*?) -->\n.*?<!-- (end of|/).*? -->", re.S)
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.S | re.M)
MARK = re.compile(r"(too long|needs|file): \S.*|tiny")
LANGUAGES = {"bash", "python", "yaml", "json", "text", "markdown"}


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    mark: str
    language: str
    text: str

    def commands(self) -> list[list[str]]:
        """Split into words, without comments and prompts, lines that end in a backslash joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        commands = [shlex.split(line, comments=True) for line in lines]
        return [command for words in commands for command in _separated(words) if command]


def _separated(words: list[str]) -> Iterator[list[str]]:
    while "&&" in words:
        cut = words.index("&&")
        yield words[:cut]
        words = words[cut + 1 :]
    yield words


def blocks() -> Iterator[Block]:
    for path in PAGES:
        text = GENERATED.sub(lambda found: "\n" * found[0].count("\n"), path.read_text())
        for found in BLOCK.finditer(text):
            line = text[: found.start("language")].count("\n") + 1
            yield Block(str(path.relative_to(ROOT)), line, found["mark"] or "", found["language"], found["text"])


BLOCKS = list(blocks())
COMMAND_BLOCKS = [block for block in BLOCKS if block.language == "bash"]
PYTHON_BLOCKS = [block for block in BLOCKS if block.language == "python"]


def named(block: Block) -> str:
    return f"{block.page}:{block.line}"


def test_blocks_say_what_they_are():
    assert len(COMMAND_BLOCKS) > 40
    for block in BLOCKS:
        assert block.language in LANGUAGES, f"{named(block)}: language {block.language!r}"
        if block.language in ("bash", "python"):
            assert not block.mark or MARK.fullmatch(block.mark), f"{named(block)}: mark {block.mark!r}"
        if block.language in ("yaml", "json"):
            assert yaml.safe_load(block.text) is not None


def test_no_command_stands_outside_of_a_block():
    """Indented code has no language and no mark."""
    for path in PAGES:
        text = BLOCK.sub("", GENERATED.sub("", path.read_text()))
        assert not re.search(r"^ {4,}(segexp|python|make|pip) ", text, re.M), path


def single(override: Override) -> str:
    """The override with the first of the values that a sweep goes through."""
    if not override.is_sweep_override():
        return str(override.input_line)
    value = override.value()
    first = value.start if isinstance(value, IntervalSweep) else next(override.sweep_string_iterator())
    return f"{override.get_key_element()}={first}"


def check_overrides(command: str, words: list[str]) -> None:
    if words and "=" not in words[0] and not words[0].startswith("-"):
        words = [*words[1:], f"subject={words[0]}"]
    overrides = [word for word in words if "=" in word and not word.startswith("resume=")]
    overrides = [single(override) for override in OverridesParser.create().parse_overrides(overrides)]
    folders = [EXAMPLE / folder for folder in split_config_dirs(words)[0]]
    if all(folder.is_dir() for folder in folders):  # other files of the pages are only there where a training is run
        compose(overrides, command, run_dir="unused", config_dir=folders)


class ParsedError(Exception):
    """The arguments are understood; nothing is done with them."""


def parse_and_stop(parser: argparse.ArgumentParser, words: list[str]) -> None:
    _, unknown = parser.parse_known_intermixed_args(words)
    assert not unknown, f"unknown words {unknown}"
    raise ParsedError


def check_segexp(command: str, words: list[str]) -> None:
    assert command in COMMANDS, f"segexp {command}: no such command"
    if command not in WITHOUT_CONFIGURATION:
        check_overrides(command, words)
        return
    name = command.replace("-", "_")
    module = importlib.import_module(f"segexp.commands.{name}")
    if hasattr(module, "DEFAULTS"):
        words = [word if "=" in word else f"path={word}" for word in words] if command == "view" else words
        has_overrides = command in ("evaluate", "stress", "view")
        keys = [word for word in words if not has_overrides or word.partition("=")[0] in module.DEFAULTS]
        parse(keys, module.DEFAULTS)
        check_overrides("train", [word for word in words if word not in keys])
    else:
        with patch.object(argparse.ArgumentParser, "parse_intermixed_args", parse_and_stop), pytest.raises(ParsedError):
            getattr(module, name)(words)


def check(words: list[str]) -> None:
    """Refuse a command that could not run: unknown keys, options, modules, targets, extras."""
    program, *rest = words
    if program == "srun":
        program, *rest = [word for word in rest if not word.startswith("--")]
    if program.endswith("segexp"):
        check_segexp(rest[0], rest[1:])
    elif words[:2] == ["python", "train.py"]:
        check_segexp("train", rest[1:])
    elif words[:2] == ["python", "-m"]:
        assert find_spec(rest[1]), f"no module {rest[1]}"
        files = [word for word in rest[2:] if "/" in word and not word.startswith("outputs/")]  # those are made
        assert all((ROOT / word).exists() for word in files)
    elif program == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
        assert {word for word in rest if "=" not in word} <= targets
        for word in rest:
            if word.startswith("ARGS="):
                check_overrides("train", shlex.split(word.removeprefix("ARGS=")))
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named_extras = re.findall(r"segexp\[([\w,]+)\]", " ".join(rest))
        assert all(extra in extras for names in named_extras for extra in names.split(","))
    else:
        assert program in ("cd", ".", "git", "pre-commit", "uv"), f"{program}: nothing is known of this program"


@pytest.mark.parametrize("block", [block for block in COMMAND_BLOCKS if block.mark], ids=named)
def test_marked_commands_are_valid(block):
    for words in block.commands():
        check(words)


def answers() -> Iterator[list[str]]:
    """Commands of docs/how.md, and its overrides as those of a training on a folder."""
    for text in re.findall(r"`([^`]+=[^`]+)`", (ROOT / "docs" / "how.md").read_text()):
        words = shlex.split(text)
        if words[0] == "segexp" and "…" not in words and "data=mine" not in words:
            yield words
        elif "." in words[0].partition("=")[0]:
            yield ["segexp", "train", "data=folder", *words]


@pytest.mark.slow
@pytest.mark.parametrize("words", list(answers()), ids=" ".join)
def test_commands_of_answers_are_valid(words):
    check(words)


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """A folder as the pages speak of it: the example, two runs, images with masks, configuration of one's own."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "outputs"))
    for name, seed in (("cells", 0), ("cells-2", 1)):
        trained(folder / "outputs" / name, "trainer.max_epochs=1", f"seed={seed}", "logger=none")
    write_pairs(folder, 6)
    (folder / "images").rename(folder / "scans")
    for path in (folder / "masks").iterdir():
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    shutil.copy(folder / "scans" / "scan_0.png", folder / "scan.png")
    for block in BLOCKS:
        if block.mark.startswith("file: "):
            path = folder / block.mark.removeprefix("file: ")
            if path.is_file():
                assert block.text in path.read_text(), f"{named(block)} differs from {path.relative_to(folder)}"
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
    return folder


@pytest.fixture
def project(filled, tmp_path, monkeypatch) -> Path:
    """A copy of it as the working directory."""
    folder = Path(shutil.copytree(filled, tmp_path / "project"))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("COLUMNS", "120")
    return folder


def run(words: list[str], monkeypatch) -> None:
    assert words[0] == "segexp" or words[:2] == ["python", "train.py"], f"{words}: run it by hand, and mark its block"
    arguments = words[1:] if words[0] == "segexp" else ["train", *words[2:]]
    monkeypatch.setattr(sys, "argv", ["segexp", *arguments])
    status = None
    try:
        main()
    except SystemExit as stop:
        status = stop.code
    assert not status, words


@pytest.mark.parametrize("block", [block for block in COMMAND_BLOCKS if not block.mark], ids=named)
def test_commands_run(block, project, monkeypatch):
    for words in block.commands():
        run(words, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in COMMAND_BLOCKS if block.mark == "tiny"], ids=named)
def test_trainings_run(block, project, monkeypatch):
    for words in block.commands():
        if words[0] == "python" or words[1] == "train":
            own_data = any(word.startswith(("data=", "resume=")) for word in words)
            own_model = any(word.startswith("model=") for word in words)
            tiny = [word for word in (TINY if own_data else SMALL) if not own_model or not word.startswith("model.")]
            words = [*words, *tiny, *HERE[1:], "trainer.max_epochs=2"]
            for word in words:  # a run starts in a folder of its own
                if word.startswith("hydra.run.dir="):
                    shutil.rmtree(word.partition("=")[2], ignore_errors=True)
        run(words, monkeypatch)


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=named)
def test_python_runs(block, project):
    code = compile(block.text, named(block), "exec")
    if not block.mark:
        exec(code, {})


def test_commands_of_the_reference_are_those_of_the_program():
    listed = re.findall(r"^\| `segexp ([\w-]+)`", (ROOT / "docs" / "commands.md").read_text(), re.M)
    assert sorted(listed) == sorted(COMMANDS)


def test_every_page_is_in_the_navigation():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    text = json.dumps(nav)
    assert [path.name for path in ROOT.glob("docs/*.md") if f'"{path.name}"' not in text] == []
    rooms = {path.parent.name for path in (ROOT / "src" / "segexp").glob("*/__init__.py")}
    assert {name for name in rooms if f"api/{name}.md" not in text} == set()


def test_options_and_paths_of_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `([\w/]+)` \| (.*) \|$", text, re.M)
    assert len(rows) > 8
    for group, choices in rows:
        listed = re.findall(r"`(\w+)`", choices)
        assert [option for option in listed if not (ROOT / "conf" / group / f"{option}.yaml").exists()] == []
    paths = re.findall(r"`((?:src|conf)/[\w/.]*)`", text)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []
