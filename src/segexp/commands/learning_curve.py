"""``segexp learning-curve``: what would more labeled cases bring, and how sure is that?"""

import argparse
from pathlib import Path

from segexp.commands.compare import chosen_runs
from segexp.comparison.learning_curve import learning_curves
from segexp.comparison.learning_curve_report import sheets, write_report
from segexp.comparison.tables import terminal
from segexp.errors import short_path


def learning_curve(arguments: list[str]) -> None:
    """Draw the score against the number of training cases, and tell what 1.5 and 2 times as many would bring.

    Raises:
        FileNotFoundError: A folder or pattern leads to no run.
        ValueError: The condition, the metric or the class is unknown, or the runs make no curve.
    """
    given = parser().parse_intermixed_args(arguments)
    found = learning_curves(chosen_runs(given), given.metric, given.label)
    print(terminal(sheets(found)), end="")
    for path in write_report(found, given.output):
        print(short_path(path))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments after ``segexp learning-curve``."""
    text = (
        "Score against number of training cases, of runs such as those of "
        "`segexp train -m data.split.train_fraction=0.1,0.2,0.4,0.7,1 seed=0,1,2 …`"
    )
    found = argparse.ArgumentParser(prog="segexp learning-curve", description=text)
    found.add_argument("runs", nargs="+", help="run folders, sweeps, or glob patterns of them")
    found.add_argument("--where", help='condition, such as "model.depth>=4 and dice>0.8"')
    found.add_argument("--metric", help="metric of cases.csv; default: the headline")
    found.add_argument("--class", dest="label", help="class or region; default: the mean over all")
    found.add_argument(
        "--output",
        type=Path,
        default=Path("learning_curve"),
        help="folder for picture, JSON and CSV; default: %(default)s",
    )
    return found
