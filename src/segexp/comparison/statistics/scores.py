"""Tables of per-case scores: what the runs of one experiment scored on one metric and class."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """Scores of one run.

    Args:
        seed: Seed of the run.
        fold: Fold that it tested; None for a single split.
        scores: Score of each case; nan where it is undefined.
    """

    seed: int
    fold: int | None
    scores: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of an experiment.

    Args:
        values: (replicates, cases); nan where a run did not score the case or its score is undefined. Each case has at
            least one score. With folds a replicate is a seed: its runs, one per fold, fill one row.
        cases: Names of the cases.
        folds: (cases,) 0, 1, ...: the fold that tested each case; all 0 for a single split.
        runs: Number of runs.
    """

    values: Array
    cases: tuple[str, ...]
    folds: NDArray[np.intp]
    runs: int

    @classmethod
    def of_one_run(cls, scores: Mapping[str, float]) -> "Scores":
        """Scores of one run on a single split, by case; each is defined."""
        cases = tuple(scores)
        return cls(np.array([list(scores.values())]), cases, np.zeros(len(cases), dtype=np.intp), 1)

    def __post_init__(self) -> None:
        if self.values.shape[1] != len(self.cases) or len(self.folds) != len(self.cases):
            raise ValueError(
                f"{self.values.shape[1]} columns and {len(self.folds)} folds for {len(self.cases)} cases: give one of "
                "each per case"
            )

    @property
    def case_means(self) -> Array:
        """(cases,) mean over the replicates that define the score."""
        defined = ~np.isnan(self.values)
        means: Array = np.where(defined, self.values, 0.0).sum(0) / defined.sum(0)
        return means

    @property
    def fold_count(self) -> int:
        """Number of folds; 1 for a single split."""
        return len(np.unique(self.folds))

    def of(self, cases: Sequence[str]) -> "Scores":
        """Keep these cases, in this order."""
        place = {case: i for i, case in enumerate(self.cases)}
        keep = [place[case] for case in cases]
        folds = np.unique(self.folds[keep], return_inverse=True)[1]
        return Scores(self.values[:, keep], tuple(cases), folds, self.runs)


def gather(runs: Sequence[Run]) -> Scores:
    """Put the runs of one experiment into a table.

    Where each case is tested in one fold alone, the folds of a seed fill one row. Where runs of several folds score the
    same cases (a test set of its own), every run is a row: then seed and fold are the same kind of replicate.

    Raises:
        ValueError: There is no run, seed and fold occur twice, or a score is infinite.
    """
    if not runs:
        raise ValueError("0 runs make no experiment: give at least 1")
    doubled = [pair for pair, count in Counter((run.seed, run.fold) for run in runs).items() if count > 1]
    for seed, fold in doubled:
        raise ValueError(f"seed {seed} and fold {fold} occur twice in one experiment: leave one run out")
    # The folds that test each case.
    homes: dict[str, set[int]] = {}
    for run in runs:
        for case, score in run.scores.items():
            if math.isinf(score):
                raise ValueError(f"score {score} of case {case!r} has no mean: give nan or a finite value")
            if not math.isnan(score):
                homes.setdefault(case, set()).add(-1 if run.fold is None else run.fold)
    # A row per seed where each case has one fold, else a row per run.
    nested = all(len(folds) == 1 for folds in homes.values())
    keys = [run.seed if nested else i for i, run in enumerate(runs)]
    rows = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    columns = {case: column for column, case in enumerate(sorted(homes))}
    values = np.full((len(rows), len(columns)), np.nan)
    for key, run in zip(keys, runs, strict=True):
        for case in run.scores.keys() & columns.keys():
            if not math.isnan(run.scores[case]):
                values[rows[key], columns[case]] = run.scores[case]
    labels = [min(homes[case]) if nested else 0 for case in columns]
    return Scores(values, tuple(columns), np.unique(labels, return_inverse=True)[1], len(runs))


def shared(tables: Sequence[Scores]) -> list[Scores]:
    """Restrict tables to the cases that all of them score, in one order."""
    if all(table.cases == tables[0].cases for table in tables):
        return list(tables)
    common = set.intersection(*(set(table.cases) for table in tables))
    return [table.of(sorted(common)) for table in tables]
