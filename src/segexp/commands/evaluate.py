"""``segexp evaluate``: score a trained run on whole cases, its own or others, and choose its post-processing."""

from segexp.cli import loaded
from segexp.commands.arguments import REQUIRED, own_arguments, parse
from segexp.errors import require_at_least, require_choice
from segexp.prediction.which import require_networks, run_paths
from segexp.runs.folder import require_runs

SPLITS = ("test", "val", "train")
DEFAULTS = {
    "run": REQUIRED,
    "split": "auto",
    "output": "auto",
    "out_of_fold": "auto",
    "worst": 8,
    "postprocess": True,
    "tune": False,
    "quality": False,
    "strict": False,
}
COMMENTS = {
    "run": "folder of the run; its best epoch is scored; several with commas, or a folder of runs, as a "
    "cross-validation, or as an ensemble, the mean of probabilities",
    "split": "cases that are scored: test, val, train; auto = test where there are test cases, else val",
    "output": "folder for the results; auto = <run>-<split> beside the run; of folds the folder of the sweep",
    "out_of_fold": "true = score each case by the runs that held it out, false = all cases by the ensemble; auto = "
    "true where runs have learned from cases that others held out, as those of folds",
    "worst": "pictures of the worst cases, 0 or more",
    "postprocess": "apply the steps that the run keeps in postprocess.json: true, false",
    "tune": "true = first choose the steps on the validation cases, and keep them in the run; of folds on all cases, "
    "and keep them beside the runs",
    "quality": "true = first learn on the validation cases to estimate the Dice of a mask, and keep that in the run",
    "strict": "refuse other data whose cases are far from what the training saw, instead of a note: true, false",
    "…": "all else is an override, such as data=<another set>, inference=tiled_turns, metrics=[overlap,surface]",
}


def evaluate(words: list[str]) -> None:
    """Score the best epoch of a run on whole cases and leave a folder that `segexp compare` reads.

    Raises:
        FileNotFoundError: There is no such run, or its data are not there.
        ValueError: A word is wrong, the run is broken or foreign, or data and network do not belong together.
    """
    mine, more = own_arguments(words, list(DEFAULTS))
    given = parse(mine, DEFAULTS, COMMENTS, "evaluate")
    require_at_least("worst", given["worst"], 0, integer=True)
    require_choice("split", given["split"], ("auto", *SPLITS))
    require_choice("out_of_fold", given["out_of_fold"].lower(), ("auto", "true", "false"))
    paths = run_paths(given["run"])
    require_runs(paths)
    require_networks(paths)
    loaded("evaluating", "evaluate_runs")(paths, given, more)
