import json
import math

from segexp.runs.files import write_json


def test_nan_becomes_null_so_that_any_reader_can_parse_the_file(tmp_path):
    write_json(tmp_path / "a.json", {"x": math.nan, "y": [1.0, math.nan], "z": "é"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": [1.0, None], "z": "é"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
