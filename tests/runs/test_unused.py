import json
from pathlib import Path

import pytest

from segexp.runs.claim import claimed
from segexp.runs.folder import RunFolder
from segexp.runs.unused import held, require_unused, unused_folder


def unfinished(folder: Path, status: str, overrides: list[str]) -> RunFolder:
    (folder / "run.json").write_text(json.dumps({"status": status, "overrides": overrides}))
    (folder / "metrics.csv").write_text("epoch\n0\n")
    return RunFolder(folder)


def test_a_folder_that_holds_anything_is_not_begun_in(tmp_path):
    run = RunFolder(tmp_path)
    require_unused(run, [])
    # Of the driver of a sweep, and of a start that was killed before it had a record.
    for name in ("log.txt", "log-rank1.txt", ".reserve", "checksums.json", ".part-run.json"):
        (tmp_path / name).touch()
    with claimed(tmp_path):
        require_unused(run, [])
        assert held(tmp_path) == []
        for name in "dcba":
            (tmp_path / name).touch()
        with pytest.raises(FileExistsError, match=r"is not empty \(a, b, c, …\): a run starts in a folder of its own"):
            require_unused(run, [])


def test_the_same_run_starts_over_where_it_had_reached_no_checkpoint(tmp_path):
    run = unfinished(tmp_path, "interrupted", ["seed=1"])
    require_unused(run, ["seed=1"])
    assert not run.curves_path.exists()
    for status, overrides in (("done", ["seed=1"]), ("failed", ["seed=2"])):
        unfinished(tmp_path, status, overrides)
        with pytest.raises(FileExistsError, match=r"metrics.csv, run.json"):
            require_unused(run, ["seed=1"])
    unfinished(tmp_path, "interrupted", ["seed=1"])
    run.last_checkpoint.parent.mkdir()
    run.last_checkpoint.touch()
    run.overrides_path.write_text("[seed=1]")
    with pytest.raises(FileExistsError, match="go on with that run by resume="):
        require_unused(run, ["seed=1"])
    assert run.curves_path.exists()


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    found = [unused_folder(f"{tmp_path}/a/run") for _ in range(3)]
    assert found == [f"{tmp_path}/a/run{ending}" for ending in ("", "-2", "-3")]
    assert all(Path(folder).is_dir() for folder in found)
