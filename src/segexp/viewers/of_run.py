"""Cases of a trained run, predicted again by the code that scores them."""

import math
from collections.abc import Sequence
from pathlib import Path

from segexp.comparison.case_order import case_scores, worst_median_best
from segexp.data.files.segments import Segment
from segexp.data.prepared import Prepared, target_of, target_tensor
from segexp.errors import did_you_mean
from segexp.evaluation.ensemble import shared_steps
from segexp.evaluation.evaluation import Evaluation
from segexp.evaluation.one_by_one import Scored
from segexp.evaluation.trained import Trained, open_trained
from segexp.metrics import case_means
from segexp.pictures.figures import class_colors
from segexp.viewers.gallery import Gallery
from segexp.viewers.layers import View

SPLITS = ("test", "val", "train")


def open_run(paths: Sequence[Path], cases: Sequence[str], arguments: Sequence[str]) -> Gallery:
    """Predict cases of a run, or of several as an ensemble.

    Args:
        paths: Folders of the runs.
        cases: Names of cases; none = the worst, median and best of those that the run was scored on.
        arguments: Further overrides, such as where the data lie now.

    Raises:
        FileNotFoundError: There is no such run, or its data are not there.
        ValueError: There is no such case, the run has no scores, or runs and data do not go together.
    """
    runs = [open_trained(path) for path in paths]
    ranks = dict.fromkeys(cases, "") or _ranked(runs[0])
    evaluation = Evaluation(runs, arguments)
    evaluation.open(runs[0].results["headline"]["split"] if runs[0].results else "auto")
    prepared = [_case(evaluation, name) for name in ranks]
    found: dict[str, View] = {}

    def keep(scored: Scored) -> None:
        name = scored.prepared.original.name
        title = f"{ranks[name]}{name}, {_score(scored, evaluation.metric)}"
        found[title] = _view(title, scored, evaluation)

    evaluation.score_each(prepared, shared_steps(runs), keep)
    return Gallery(f"run {runs[0].folder.name}", tuple(found), found.__getitem__)


def _ranked(run: Trained) -> dict[str, str]:
    """Names of the worst, median and best case when the run was scored, and words for their ranks."""
    headline = run.results.get("headline")
    if not headline:
        raise ValueError(f"{run.folder} has no scores yet: name a case with case=<name>")
    metric = headline["metric"]
    rows = [row for row in run.files.cases() if row["split"] == headline["split"]]
    scores = case_scores(rows, metric, headline.get("higher_is_better", True))
    if not scores:
        raise ValueError(f"{metric} is not defined in any case of {run.folder}: name a case with case=<name>")
    return {case: f"{rank}: " for rank, case in worst_median_best(list(scores)).items()}


def _score(scored: Scored, metric: str) -> str:
    """Tell the score of what is shown, which post-processing and other networks may have changed since."""
    means = case_means(scored.result.rows, metric).values()  # of this one case
    return next((f"{metric} {mean:.4f}" for mean in means if not math.isnan(mean)), f"{metric} undefined")


def _case(evaluation: Evaluation, name: str) -> Prepared:
    """Find a case in any split, the held-out ones first."""
    data = evaluation.data
    for split in SPLITS:
        if name in getattr(data.split, split):
            return next(one for one in data.cases(split) if one.original.name == name)
    known = [case for split in SPLITS for case in getattr(data.split, split)]
    near = did_you_mean(name, known) or f"; there are such as {known[0]}"
    raise ValueError(f"case={name}: the data of the run have no such case{near}")


def _view(title: str, scored: Scored, evaluation: Evaluation) -> View:
    case, labels = scored.prepared.original, evaluation.data.labels
    truth = target_tensor(target_of(case), labels.regions).numpy()
    names = list(labels.regions) if labels.regions else labels.class_names[1:]
    values = [1] * len(names) if labels.regions else range(1, len(names) + 1)
    segments = [Segment(*each) for each in zip(names, values, class_colors(len(names)), strict=True)]
    predicted = scored.labels > 0 if labels.regions else scored.labels
    return View(title, case.image, case.spacing, case.spacing_unit, segments, predicted, truth)
