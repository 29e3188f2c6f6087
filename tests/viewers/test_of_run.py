"""Cases of a run, predicted again."""

from pathlib import Path

import numpy as np
import pytest

from segexp.data.sources import Synthetic
from segexp.viewers.of_run import open_run
from tests.conftest import table, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("view") / "run", "trainer.max_epochs=1", "optimizer.lr=0.01", "logger=none")


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_worst_median_and_best_case_have_the_labels_that_were_scored(run):
    scores = {row["case"]: float(row["dice"]) for row in table(run / "cases.csv") if row["split"] == "test"}
    order = sorted(scores, key=scores.__getitem__)
    gallery = open_run([run], [], [])
    assert gallery.title == "run run"
    ranks = ("worst", "median", "best")
    assert list(gallery.names) == [
        f"{rank}: {case}, dice {scores[case]:.4f}" for rank, case in zip(ranks, order, strict=True)
    ]
    for name, case in zip(gallery.names, order, strict=True):
        view = gallery.load(name)
        known = Synthetic((48, 48), 9).read(case)
        assert np.array_equal(view.image, known.image)
        assert np.array_equal(view.truth, known.target)
        assert dice(view.labels == 1, view.truth == 1) == pytest.approx(scores[case], abs=1e-6)
        assert [(one.name, one.value) for one in view.segments] == [("membrane", 1)]


def test_any_case_can_be_named(run):
    names = open_run([run], ["cells_0004", "cells_0000"], []).names
    assert [name.split(", dice ")[0] for name in names] == ["cells_0004", "cells_0000"]
    with pytest.raises(
        ValueError, match=r"case=cells_004: the data of the run have no such case .did you mean 'cells_"
    ):
        open_run([run], ["cells_004"], [])
