import json
import sys
from pathlib import Path

import pytest

from segexp.cli import main
from segexp.commands.report import report

PAGE = """# Losses

**Question.** Which?

<!-- segexp: compare outputs --metric dice sheets=experiments,dice -->
<!-- /segexp -->

The end.
"""


def leave(folder: Path, loss: str, seed: int, dice: list[float]) -> None:
    """Write the files of a run, as `segexp train` leaves them."""
    folder.mkdir(parents=True)
    config = {
        "seed": seed,
        "loss": {"_target_": loss},
        "data": {"split": {"fold": None}},
        "trainer": {"precision": "32-true"},
    }
    cases = [f"case_{place}" for place in range(len(dice))]
    record = {
        "status": "done",
        "config": config,
        "choices": {"loss": loss},
        "end": f"2026-02-0{seed}T10:00:00+00:00",
        "segexp_version": "0.1.0",
        "git": {"commit": "0123456789abcdef", "diff": ""},
        "packages": {"torch": "2.13.0"},
        "machine": {"processor": "EPYC", "gpus": []},
        "parameters": 10,
    }
    mean = sum(dice) / len(dice)
    results = {
        "headline": {"split": "test", "metric": "dice", "value": mean},
        "test": {"dice": mean},
        "metrics": {"dice": {"higher_is_better": True, "unit": "fraction"}},
        "protocol": {"test": {"dice": "overlap"}},
        "cases": {"test": cases},
        "training": {"minutes": 1.0},
    }
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "results.json").write_text(json.dumps(results))
    rows = "".join(f"test,{case},cell,{value}\n" for case, value in zip(cases, dice, strict=True))
    (folder / "cases.csv").write_text(f"split,case,class,dice\n{rows}")


@pytest.fixture
def page(tmp_path, monkeypatch) -> Path:
    """A project with four runs and the README of an experiment."""
    monkeypatch.chdir(tmp_path)
    for loss, low in (("ce", 0.5), ("dice", 0.6)):
        for seed in (1, 2):
            leave(tmp_path / "outputs" / f"{loss}_{seed}", loss, seed, [low, low + 0.1 + seed / 100, low + 0.2])
    path = tmp_path / "experiments" / "losses" / "README.md"
    path.parent.mkdir(parents=True)
    path.write_text(PAGE, newline="")
    return path


def refused(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        report(list(words))
    return stop.value.code


def test_a_table_is_written_from_the_runs(page):
    report(["experiments/losses"])
    text = page.read_text()
    before, _, rest = PAGE.partition("<!-- /segexp -->")
    assert text.startswith(before)
    assert text.endswith(rest)
    assert "### Experiments\n" in text
    assert "### dice, higher is better\n" in text
    assert "### Configuration" not in text
    assert "| A | ce | 3 | 0.6050 |" in text
    assert "| B | dice | 3 | 0.7050 |" in text
    line = (
        "`segexp compare outputs --metric dice`; newest of 4 runs: 2026-02-02; EPYC; segexp 0.1.0 (0123456789), torch"
    )
    assert line in text


def test_check_tells_what_would_change_and_changes_nothing(page, capsys):
    assert refused("experiments/losses", "--check") == 1
    assert "experiments/losses/README.md:5: out of date" in capsys.readouterr().err
    assert page.read_text() == PAGE
    report(["experiments/losses"])
    report(["experiments/losses", "--check"])
    leave(Path("outputs/new"), "dice", 3, [0.9, 0.9, 0.9])
    assert refused("experiments/losses", "--check") == 1


def test_line_ends_stay_as_they_are(page):
    page.write_bytes(PAGE.replace("\n", "\r\n").encode())
    report([str(page)])
    written = page.read_bytes()
    assert written.count(b"\r\n") == written.count(b"\n") > 20
    report([str(page), "--check"])


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("compare outputz", "README.md:5: outputz: no run there"),
        ("compare outputs --metric dise", "README.md:5: --metric='dise' is not one of .* .did you mean 'dice'"),
        ("compare outputs --metrc dice", "README.md:5: unrecognized arguments: --metrc"),
        ("compare outputs --html page.html", "README.md:5: --html has no place in a marker"),
        ("compare outputs --where seed>5", "README.md:5: --where 'seed>5' leaves none"),
        ("compare outputs sheets=dise", "README.md:5: sheets=dise: no such table .did you mean 'dice'"),
        ("compre outputs", "README.md:5: marker='compre' is not one of .'compare', 'goals'."),
    ],
)
def test_a_wrong_marker_is_named_by_file_and_line(page, capsys, monkeypatch, marker, said):
    page.write_text(PAGE.replace("compare outputs --metric dice sheets=experiments,dice", marker))
    with pytest.raises(ValueError, match=said):
        report(["experiments/losses"])
    monkeypatch.setattr(sys, "argv", ["segexp", "report", "experiments/losses"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.startswith("segexp report: experiments/losses/README.md:5: ")


def test_a_folder_without_a_page_is_told(page):
    Path("empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty/README.md is not there"):
        report(["empty"])


def test_goals_are_written_beside_what_was_reached(page):
    page.write_text(PAGE.replace("compare outputs --metric dice sheets=experiments,dice", "goals outputs dice>=0.6"))
    report(["experiments/losses"])
    assert "| ≥ 0.6 | 0.6550 | 0.6033 to 0.7067 | 4 | yes |" in page.read_text()
    report(["experiments/losses", "--check"])


def test_a_run_and_a_sweep_get_a_page(page, capsys):
    report(["outputs/ce_1", "outputs"])
    assert capsys.readouterr().out.split() == ["outputs/ce_1/report.html", "outputs/report.html"]
    assert "Case by case" in Path("outputs/ce_1/report.html").read_text()
    assert "Comparison of 2 experiments" in Path("outputs/report.html").read_text()
