"""How the code is built: lines and functions per room, imports of each command, functions on the ways of the data.

    python -m benchmarks.structure                    # of this checkout
    python -m benchmarks.structure --tree ../other    # of another one, such as an earlier commit, with the same Python

Functions and depth are traced at run time: on one thread, comprehensions not counted.
"""

import argparse
import ast
import json
import os
import statistics
import subprocess
import sys
import tempfile
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve()
ROUNDS = 3  # fresh processes per import
IMPORTS = ("torch", "segexp.prediction", "segexp.checkpoints", "segexp.config")


@dataclass(frozen=True)
class Function:
    """A function as it is written.

    Args:
        name: Its name.
        lines: Lines of its body, the docstring left out.
    """

    name: str
    lines: int


def main() -> None:
    """Print the tables of a tree in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=HERE.parents[1], help="checkout that is looked at")
    tree = parser.parse_args().tree.resolve()
    print_rooms(tree / "src")
    print_imports(tree)
    print_ways(tree)


def print_rooms(source: Path) -> None:
    """Print files, lines and untyped dictionaries per room, and what the functions are like."""
    rooms: dict[str, list[Path]] = {}
    for path in sorted(source.rglob("*.py")):
        inner = path.relative_to(source).parts
        rooms.setdefault(inner[1] if len(inner) > 2 else "(top)", []).append(path)
    print("| room | files | lines | functions | dict[str, Any] |\n| --- | ---: | ---: | ---: | ---: |")
    for room, paths in [*rooms.items(), ("**all**", sorted(source.rglob("*.py")))]:
        text = "".join(path.read_text() for path in paths)
        count = sum(len(list(functions(path))) for path in paths)
        print(f"| {room} | {len(paths)} | {text.count(chr(10))} | {count} | {text.count('dict[str, Any]')} |")
    print_functions([path for paths in rooms.values() for path in paths])


def print_functions(paths: list[Path]) -> None:
    """Print the sizes of functions, and how many tiny ones have a single caller."""
    every = [function for path in paths for function in functions(path)]
    lengths = sorted(function.lines for function in every)
    used = Counter(name for path in paths for name in uses(path))
    tiny = [function for function in every if function.lines <= 3]
    single = [function for function in tiny if used[function.name] == 1 and not function.name.startswith("__")]
    print("\n| functions | |\n| --- | ---: |")
    print(f"| lines of a body, median | {statistics.median(lengths):g} |")
    print(f"| lines of a body, 95 % | {lengths[int(0.95 * len(lengths))]} |")
    print(f"| of at most 3 lines | {100 * len(tiny) / len(every):.0f} % |")
    print(f"| of these with one use | {len(single)} |")
    print(f"| comment lines | {sum(map(comments, paths))} |")


def functions(path: Path) -> Iterator[Function]:
    """Find the functions of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield Function(node.name, (node.end_lineno or 0) - body[0].lineno + 1 if body else 0)


def uses(path: Path) -> Iterator[str]:
    """Find the names that a file uses."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def comments(path: Path) -> int:
    """Count the lines of a file that are a comment."""
    with path.open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    return sum(token.type == tokenize.COMMENT and token.line.lstrip().startswith("#") for token in tokens)


def print_imports(tree: Path) -> None:
    """Print the seconds that modules and the verbs of the command line take to import, each in fresh processes."""
    verbs = sorted(path.stem for path in (tree / "src/segexp/commands").glob("*.py"))
    modules = [*IMPORTS, *(f"segexp.commands.{verb}" for verb in verbs if verb != "__init__")]
    print("\n| import | seconds |\n| --- | ---: |")
    for module in modules:
        place = tree / "src" / module.replace(".", "/")
        if module.startswith("segexp") and not (place.is_dir() or place.with_suffix(".py").is_file()):
            continue  # an earlier tree
        seconds = [float(in_fresh_process(tree, TIMED_IMPORT, module)) for _ in range(ROUNDS)]
        print(f"| {module} | {statistics.median(seconds):.2f} |")


def print_ways(tree: Path) -> None:
    """Print how many functions and files the ways of the data pass, and how deep they lie."""
    print("\n| way | functions | files | depth |\n| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        ways = json.loads(in_fresh_process(tree, HERE.with_name("structure_ways.py").read_text(), folder))
    for way, found in ways.items():
        print(f"| {way} | {found['functions']} | {found['files']} | {found['depth']} |")


TIMED_IMPORT = """
import importlib, sys, time
start = time.perf_counter()
importlib.import_module(sys.argv[1])
print(time.perf_counter() - start)
"""


def in_fresh_process(tree: Path, script: str, argument: str) -> str:
    """Run a script with the package of a tree and return the last line that it prints."""
    env = {**os.environ, "PYTHONPATH": str(tree / "src"), "NO_ALBUMENTATIONS_UPDATE": "1"}
    words = [sys.executable, "-c", script, argument]
    done = subprocess.run(words, cwd=tree, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main()
