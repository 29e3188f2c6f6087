import json

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
