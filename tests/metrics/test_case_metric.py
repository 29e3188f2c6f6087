import copy
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from segexp.metrics import CaseMetric, CaseScores, MetricResult, find_info
from tests.metrics.gloo_worker import fresh, scored


class PixelCount(CaseMetric):
    """The smallest metric: how many pixels count."""

    def __init__(self):
        super().__init__((1,), torch.int64)

    @property
    def info(self):
        return {"pixels": self.describe("number of pixels that count, per case")}

    def measure(self, probs, target, spacing):
        return self.counted(target).flatten(1).sum(dim=1, keepdim=True)

    def score(self, cases, measured):
        rows = [CaseScores(c, "all", {"pixels": float(n)}) for c, n in zip(cases, measured[:, 0], strict=True)]
        return MetricResult(rows, {"pixels_total": int(measured.sum())}, dict(self.chosen))


def case(index, height=4, width=4, fill=0):
    target = torch.full((1, height, width), fill)
    return torch.rand(1, 2, height, width), target, torch.tensor([index])


def test_rows_come_in_the_order_of_the_cases_whatever_the_order_and_size_of_the_batches():
    metric = PixelCount()
    metric.update(*case(7, 2, 3))
    metric.update(torch.rand(2, 2, 5, 5), torch.zeros(2, 5, 5, dtype=torch.int64), torch.tensor([9, 3]))
    rows = metric.compute().rows
    assert [(row.case, row.scores["pixels"]) for row in rows] == [(3, 25.0), (7, 6.0), (9, 25.0)]


def test_the_result_is_plain_python():
    metric = PixelCount()
    metric.update(*case(0))
    result = asdict(metric.compute())
    assert type(result["rows"][0]["case"]) is int
    assert json.loads(json.dumps(result)) == result


def test_pixels_to_ignore_and_negative_targets_do_not_count():
    target = torch.tensor([[[0, 1, 255, -1, -100, 7]]])
    metric = PixelCount()
    metric.update(torch.rand(1, 2, 1, 6), target, torch.tensor([0]))
    assert metric.compute().overall["pixels_total"] == 3


def test_small_integer_targets_are_taken():
    metric = PixelCount()
    metric.update(torch.rand(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]], dtype=torch.uint8), torch.tensor([0]))
    assert metric.compute().overall["pixels_total"] == 2


@pytest.mark.parametrize("again", ["same batch", "another batch"])
def test_a_case_seen_twice_is_refused_by_its_number(again):
    metric = PixelCount()
    if again == "same batch":
        metric.update(torch.rand(2, 2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64), torch.tensor([12, 12]))
    else:
        metric.update(*case(12))
        metric.update(*case(12))
    with pytest.raises(ValueError, match=r"case_index \[12\] came more than once"):
        metric.compute()


def test_a_score_is_described_by_the_attributes_of_its_metric_unless_it_differs():
    class Missed(PixelCount):
        higher_is_better = False
        unit = "px"
        parts = ("vein",)

    info = Missed().info["pixels"]
    assert (info.higher_is_better, info.unit, info.computed_from, info.targets) == (False, "px", "labels", "classes")
    other = Missed().describe("other", higher_is_better=True, unit="", computed_from="probabilities")
    assert (other.higher_is_better, other.unit, other.computed_from) == (True, "", "probabilities")
    assert PixelCount().info["pixels"].higher_is_better
    assert find_info("pixels_vein", [PixelCount(), Missed()]) == info
    assert find_info("pixels_artery", [Missed()]) is None


def test_reset_forgets_cases_and_keeps_what_was_chosen():
    metric = PixelCount()
    metric.chosen = {"threshold": 0.4}
    metric.update(*case(1))
    metric.reset()
    metric.update(*case(1))
    result = metric.compute()
    assert len(result.rows) == 1
    assert result.chosen == {"threshold": 0.4}


def test_a_changed_choice_is_seen_without_a_new_update():
    metric = PixelCount()
    metric.update(*case(1))
    assert metric.compute().chosen == {}
    metric.chosen = {"threshold": 0.4}
    assert metric.compute().chosen == {"threshold": 0.4}


def test_a_copy_counts_on_its_own():
    metric = PixelCount()
    metric.update(*case(1))
    twin = copy.deepcopy(metric)
    twin.update(*case(2))
    assert len(metric.compute().rows) == 1
    assert len(twin.compute().rows) == 2


@pytest.mark.parametrize(
    ("probs", "target", "index"),
    [
        ((1, 2, 4, 4), (1, 4, 5), (1,)),
        ((2, 2, 4, 4), (1, 4, 4), (2,)),
        ((2, 2, 4, 4), (2, 4, 4), (1,)),
        ((1, 2), (1,), (1,)),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(probs, target, index):
    with pytest.raises(ValueError, match="do not belong together"):
        PixelCount().update(torch.rand(probs), torch.zeros(target, dtype=torch.int64), torch.zeros(index))


def jobs():
    """Per job and rank the batches of that rank."""
    generator = torch.Generator().manual_seed(0)

    def batch(*indices, size=24):
        truth = torch.randint(0, 2, (len(indices), size, size), generator=generator)
        return torch.rand(len(indices), 2, size, size, generator=generator), truth, torch.tensor(indices)

    def numbered(batch):
        return *batch, None, torch.randint(0, 9, batch[1].shape, generator=generator)

    return {
        "three cases on two ranks": [[batch(0), batch(2, size=17)], [batch(1, size=30)]],
        "a batch of two and one": [[batch(4)], [batch(5, 3)]],
        "one case, second rank has none": [[batch(0)], []],
        "one case, first rank has none": [[], [batch(0)]],
        "numbered objects on the first rank": [[numbered(batch(0))], [batch(1)]],
        "numbered objects on the second rank alone": [[], [numbered(batch(0))]],
        "a case on both ranks": [[batch(6)], [batch(6)]],
    }


@pytest.fixture(scope="module")
def gloo_results(tmp_path_factory):
    """The results of two real processes, per rank, job and metric."""
    folder = tmp_path_factory.mktemp("gloo")
    torch.save(list(jobs().values()), folder / "jobs.pt")
    worker = Path(__file__).with_name("gloo_worker.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, worker, str(rank), "2", folder], env=environment, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    complaints = [process.communicate(timeout=120)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], complaints
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("state", ["fresh", "used_and_reset"])
@pytest.mark.parametrize("name", [name for name in jobs() if name != "a case on both ranks"])
def test_two_processes_score_like_one(gloo_results, name, state):
    job, position = jobs()[name], list(jobs()).index(name)
    for k, metric in enumerate(fresh()):
        for batch in [batch for share in job for batch in share]:
            metric.take(*batch)
        alone = scored(metric)
        assert len(alone["rows"]) == sum(len(batch[2]) for share in job for batch in share)
        for rank in range(2):
            assert json.dumps(gloo_results[rank][position][state][k]) == json.dumps(alone)  # nan equals itself


@pytest.mark.slow
def test_a_case_on_both_ranks_is_refused_by_both(gloo_results):
    position = list(jobs()).index("a case on both ranks")
    for rank in range(2):
        assert "case_index [6] came more than once" in gloo_results[rank][position]["fresh"][0]["error"]
