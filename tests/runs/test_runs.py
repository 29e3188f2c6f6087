import json
from pathlib import Path

import pytest

from segexp.runs.runs import find_runs, select


def leave(folder: Path, depth: int, dice: float | None, loss: str = "ce", seed: int = 1) -> Path:
    """Write the files of a run, as `segexp train` leaves them."""
    folder.mkdir(parents=True)
    config = {
        "seed": seed,
        "model": {"depth": depth},
        "loss": {"_target_": loss},
        "data": {"split": {"fold": None}},
        "paths": {"run_dir": str(folder)},
        "callbacks": {"table": {"path": f"{folder}/metrics.csv"}},
    }
    record = {"status": "done" if dice is not None else "failed", "config": config, "choices": {"loss": loss}}
    (folder / "run.json").write_text(json.dumps(record))
    if dice is not None:
        results = {"headline": {"split": "test", "metric": "dice"}, "test": {"dice": dice, "iou": None}}
        (folder / "results.json").write_text(json.dumps(results))
        (folder / "cases.csv").write_text("split,case,class,dice\nval,a,cell,0.1\ntest,b,cell,0.5\n")
    return folder


@pytest.fixture
def outputs(tmp_path) -> Path:
    leave(tmp_path / "one", 4, 0.9)
    leave(tmp_path / "sweep" / "a", 2, 0.7, "dice")
    leave(tmp_path / "sweep" / "b", 3, 0.8, "dice", seed=2)
    leave(tmp_path / "broken", 4, None)
    return tmp_path


def names(runs) -> list[str]:
    return sorted(run.folder.name for run in runs)


def test_runs_are_found_by_folder_sweep_and_pattern(outputs):
    assert names(find_runs([f"{outputs}/one"])) == ["one"]
    assert names(find_runs([f"{outputs}/sweep"])) == ["a", "b"]
    assert names(find_runs([f"{outputs}/*/b", f"{outputs}/sweep"])) == ["a", "b"]
    assert names(find_runs([str(outputs)])) == ["a", "b", "broken", "one"]


def test_a_word_that_leads_nowhere_is_told(outputs):
    with pytest.raises(FileNotFoundError, match=r"sweeep: no run there.*did you mean '.*sweep'"):
        find_runs([f"{outputs}/sweeep"])


def test_a_broken_run_is_named_and_does_not_hide_the_others(outputs, caplog):
    (outputs / "one" / "run.json").write_text('{"status": ')
    (outputs / "sweep" / "a" / "cases.csv").write_text("split,case\n")
    assert names(find_runs([str(outputs)])) == ["b", "broken"]
    assert "left out:" in caplog.text
    assert "one/run.json cannot be read" in caplog.text
    assert "a/cases.csv has no column class" in caplog.text


def test_a_broken_run_alone_is_an_error(outputs):
    (outputs / "one" / "run.json").write_text('{"status": ')
    with pytest.raises(ValueError, match=r"one/run.json cannot be read"):
        find_runs([f"{outputs}/one"])


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("model.depth>=3 and dice>0.8", ["one"]),
        ("loss=='dice'", ["a", "b"]),
        ("not loss=='dice' or seed in [2, 3]", ["b", "broken", "one"]),
        ("0.7 <= dice < 0.85", ["a", "b"]),
        ("status=='failed'", ["broken"]),
        ("iou > 0", []),
        ("seed > -1", ["a", "b", "broken", "one"]),
    ],
)
def test_conditions(outputs, query, chosen):
    assert names(select(find_runs([str(outputs)]), query)) == chosen


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("model.dept>3", r"no run has 'model.dept' \(did you mean 'model.depth'\?\)"),
        ("dice >", "cannot be read"),
        ("__import__('os').system('x')", "no run has|not allowed"),
        ("dice.__class__ == 3", "no run has 'dice.__class__'"),
        ("[x for x in dice]", "no run has|not allowed"),
        ("dice + 1 > 3", "not allowed"),
    ],
)
def test_a_condition_can_only_compare(outputs, query, said):
    with pytest.raises(ValueError, match=said):
        select(find_runs([str(outputs)]), query)


def test_settings_leave_out_seed_fold_and_paths(outputs):
    (run,) = find_runs([f"{outputs}/sweep/b"])
    assert run.settings == {"model.depth": 3, "loss._target_": "dice"}
    assert run.replicate == (2, None)
    assert [row["case"] for row in run.cases] == ["b"]


@pytest.mark.parametrize("name", ["run.json", "results.json"])
@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "{}", "\x00", '"run"'])
def test_a_record_that_is_none_is_named(outputs, name, content):
    (outputs / "one" / name).write_text(content)
    with pytest.raises(ValueError, match=rf"one/{name} (cannot be read|lacks)"):
        find_runs([f"{outputs}/one"])
