"""What a sweep says at its end; the jobs have left what they leave."""

import json
import shlex

import pytest

from segexp.config import compose
from segexp.sweeps.jobs import Job, with_replicates
from segexp.sweeps.summary import report


def ended(folder, words: list[str], folds: list[int], scores: list[float]) -> list[Job]:
    jobs = []
    for (overrides, replicate), score in zip(with_replicates(words, None, folds), scores, strict=True):
        job = Job(overrides, folder / f"{words[0]}__{replicate[0]}", replicate=replicate)
        job.folder.mkdir(parents=True)
        job.files.record_path.write_text(json.dumps({"status": "done"}))
        headline = {"split": "test", "metric": "dice", "value": score - 0.1, "higher_is_better": True, "note": ""}
        job.files.results_path.write_text(json.dumps({"headline": headline, "val": {"dice": score}}))
        jobs.append(job)
    return jobs


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "my sweep"


def command(out: str, head: str) -> list[str]:
    """Words of the command in the line that begins so."""
    (line,) = [line for line in out.splitlines() if line.startswith(head)]
    return shlex.split(line.removeprefix(head))


def test_after_folds_the_best_setting_is_said_with_commands_to_paste(sweep, capsys):
    common = ["data.split.method=random", "data.source.size=[48,48]"]
    jobs = ended(sweep, ["loss=ce", *common], [0, 1], [0.5, 0.6]) + ended(
        sweep, ["loss=dice", *common], [0, 1], [0.7, 0.6]
    )
    report(jobs, sweep)
    out = capsys.readouterr().out
    assert "best         val/dice has its best mean over folds, 0.6500, with loss=dice; 95 % interval" in out
    assert "chosen among 2 settings on these same cases, so optimistically biased" in out
    places = "my sweep/loss=dice__data.split.fold=0,my sweep/loss=dice__data.split.fold=1"
    assert command(out, "score it ") == ["segexp", "evaluate", f"run={places}", "tune=true"]
    assert command(out, "predict ") == ["segexp", "predict", f"run={places}", "input=IMAGES", "output=FOLDER"]
    words = command(out, "train on all ")
    assert words[:4] == ["segexp", "train", "loss=dice", "data.source.size=[48,48]"]
    split = compose(words[2:]).data.split
    assert (split.method, split.fold, split.lists) == ("all", None, None)


def test_of_one_setting_the_folder_stands_for_its_runs(sweep, capsys):
    lists = "data.split.lists=folds.json"
    report(ended(sweep, ["loss=ce", "data.split.method=list", lists], [0, 1], [0.5, 0.6]), sweep)
    out = capsys.readouterr().out
    assert "folds        mean of val/dice over 2 folds 0.5500, 95 % interval" in out
    assert command(out, "score it ")[2] == "run=my sweep"
    assert command(out, "train on all ")[3:] == [
        "data.split.method=all",
        "data.split.fold=null",
        "data.split.lists=null",
    ]


def test_without_folds_nothing_more_is_said(sweep, capsys):
    (job,) = ended(sweep, ["loss=ce"], [0], [0.5])
    report([Job(job.overrides, job.folder)], sweep)
    assert "train on all" not in capsys.readouterr().out
