"""``segexp stress``: how a trained run holds out on corrupted copies of its held-out cases."""

from typing import Any

from segexp.cli import loaded
from segexp.commands.arguments import REQUIRED, own_arguments, parse
from segexp.errors import require_at_least, require_choice, require_each
from segexp.prediction.which import paths_of, require_networks
from segexp.stress.corruptions import CORRUPTIONS, SEVERITIES

DEFAULTS = {
    "run": REQUIRED,
    "split": "auto",
    "corruptions": None,
    "severities": list(SEVERITIES),
    "cases": None,
    "seed": 0,
    "reference": "none",
    "output": "auto",
    "pictures": True,
    "postprocess": True,
    "html": "auto",
}
COMMENTS = {
    "run": "folder of a run; several with commas, or a folder of runs, as an ensemble; run= may be given several times",
    "split": "cases that are scored: test, val; auto = test where there are test cases, else val",
    "corruptions": f"list of {', '.join(CORRUPTIONS)}; null = all that make sense for the cases",
    "severities": "list of integers from 1 to 5",
    "cases": "number of cases, evenly chosen from the split; null = all",
    "seed": "seed of the corruptions: the same one gives every run the same images",
    "reference": "folder of a stressed run, whose errors those of the others are divided by; none = no reference",
    "output": "folder of the evaluation that the results go with; auto = the run itself where its own scores are of "
    "the same cases and settings, else the folder that segexp evaluate names",
    "pictures": "draw a typical case in every severity, and the worst case of each corruption: true, false",
    "postprocess": "apply the steps that the run keeps in postprocess.json: true, false",
    "html": "file of the page; auto = stress.html in the folder of the results, of several runs of the first one's",
    "…": "all else is an override, as of segexp evaluate: metrics=[overlap,surface], inference=tiled_turns, "
    "inference.predictor.batch_size=8",
}


def stress(words: list[str]) -> None:
    """Score corrupted copies of a run's cases; leave stress.json, stress.csv and stress.html beside its results.

    A stress test that was ended goes on with the copies that are missing.

    Raises:
        FileExistsError: The folder of the evaluation holds another one.
        FileNotFoundError: There is no such run or reference, or its data are not there.
        ValueError: A word is wrong, or a corruption does not fit the cases.
    """
    mine, more = own_arguments(words, list(DEFAULTS))
    given = parse(mine, DEFAULTS, COMMENTS, "stress")
    runs = list(dict.fromkeys(word.partition("=")[2] for word in mine if word.startswith("run=")))
    _check(given, len(runs))
    for run in runs:
        require_networks(paths_of(run))
    loaded("stressing", "stress_runs")(runs, given, more, words)


def _check(given: dict[str, Any], runs: int) -> None:
    """Refuse values outside their range."""
    if runs > 1 and given["output"] != "auto":
        raise ValueError(f"output={given['output']} is one folder for {runs} runs: stress each on its own")
    require_choice("split", given["split"], ("auto", "test", "val"))
    require_each("severities", given["severities"], SEVERITIES[0], SEVERITIES[-1])
    for severity in given["severities"]:
        require_choice("severities", severity, SEVERITIES)
    require_at_least("seed", given["seed"], 0, integer=True)
    if given["cases"] is not None:
        require_at_least("cases", given["cases"], 1, integer=True)
    if isinstance(given["corruptions"], str):
        given["corruptions"] = [given["corruptions"]]
    if given["corruptions"] is not None and not isinstance(given["corruptions"], list):
        raise ValueError(f"corruptions={given['corruptions']!r} must be a list such as [blur,motion], or null")
