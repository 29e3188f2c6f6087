import json
import math

import pytest

from segexp.runs.files import read_table, write_json, write_table


def test_nan_becomes_null_so_that_any_reader_can_parse_the_file(tmp_path):
    write_json(tmp_path / "a.json", {"x": math.nan, "y": [1.0, math.nan], "z": "é"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": [1.0, None], "z": "é"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "checksums.json"]


def test_a_table_comes_back_as_it_was(tmp_path):
    rows = [{"epoch": 0, "name": 'a "b", c'}, {"epoch": 1, "more": 0.5}]
    write_table(tmp_path / "a.csv", rows)
    assert read_table(tmp_path / "a.csv", ["epoch", "more"]) == [
        {"epoch": "0", "name": 'a "b", c', "more": ""},
        {"epoch": "1", "name": "", "more": "0.5"},
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"epoch,seconds\n0,1\n1", "row 2 has another number of cells"),
        (b"epoch,seconds\n0,1,2\n", "row 1 has another number of cells"),
        (b"", "has no column epoch"),
        (b'epoch,seconds\n"0,1\n', "cannot be read as CSV"),
        (b"epoch,seconds\n\xff,1\n", "cannot be read as CSV"),
    ],
)
def test_a_table_without_checksum_is_checked_by_its_form(tmp_path, content, said):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a.csv.*{said}"):
        read_table(tmp_path / "a.csv", ["epoch"])
