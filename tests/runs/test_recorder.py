import json

from segexp.runs import recorder
from segexp.runs.folder import RunFolder
from segexp.runs.recorder import RunRecorder


def test_a_record_keeps_its_start_over_a_resume(tmp_path):
    first = RunRecorder(RunFolder(tmp_path), ["seed=1"], 1)
    first.finish("failed", "power cut")
    assert json.loads((tmp_path / "run.json").read_text())["why"] == "power cut"
    again = RunRecorder(RunFolder(tmp_path), ["seed=1"], 1)
    assert again.content["start"] == first.content["start"]
    assert len(again.content["resumed"]) == 1
    assert again.content["status"] == "running"


def test_a_full_disk_has_room_for_the_record_of_the_end_however_long_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "present_facts", lambda: {"git": {"commit": "a", "diff": "x" * 200_000}})
    RunRecorder(RunFolder(tmp_path), [], 1)
    assert (tmp_path / ".reserve").stat().st_size > (tmp_path / "run.json").stat().st_size > 200_000
