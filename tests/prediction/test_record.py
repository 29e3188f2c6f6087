"""The record of an output folder: what it takes for done, and that several processes keep one."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segexp.prediction.record import NAME, PredictionRecord, SegmentRow, Shown, input_digest, read_record

HOW = {"models": ["a"], "tta": "none"}
MASK, MAP = Path("x.png"), Path("x_overlay.png")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder in which x was predicted with an overlay."""
    record = PredictionRecord(tmp_path, HOW)
    for path in (MASK, MAP):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / path)
    record.note("x", "digest", {path: tmp_path / path for path in (MASK, MAP)})
    return tmp_path


def look(folder: Path, digest: str = "digest", how: dict | None = None, others: tuple[Path, ...] = (MAP,)):
    return PredictionRecord(folder, how or HOW).look("x", digest, [MASK], list(others))


def test_done_is_what_was_made_of_this_by_this(folder):
    assert look(folder).done
    assert look(folder, others=()).done
    assert look(folder, digest="other").why_not == "its input has changed since"
    assert look(folder, how=HOW | {"models": ["b"]}).why_not == "it was predicted by another model"
    assert look(folder, how=HOW | {"tta": "flips"}).why_not.endswith("other settings (tta=none, now flips)")
    assert look(folder, how=HOW | {"new": 1}).why_not.endswith("(new=None, now 1)")


def test_what_is_missing_is_made_again_and_what_is_unknown_is_kept(folder):
    (folder / MAP).unlink()
    assert (look(folder).done, look(folder).why_not) == (False, "")
    Image.new("L", (8, 8)).save(folder / "x_std.png")
    assert look(folder, others=(Path("x_std.png"),)).why_not == f"{NAME} does not tell what made x_std.png"
    (folder / MASK).unlink()
    assert (look(folder).done, look(folder).why_not) == (False, "")


def test_changed_and_damaged_files_are_told_apart(folder):
    whole = (folder / MASK).read_bytes()
    Image.new("L", (8, 8)).save(folder / MASK)
    assert look(folder).why_not == "x.png was changed since it was written"
    (folder / MASK).write_bytes(whole[:-8])
    found = look(folder)
    assert (found.done, found.why_not, found.damaged) == (False, "", (folder / MASK,))


def test_two_processes_keep_one_record(folder):
    one, two = PredictionRecord(folder, HOW), PredictionRecord(folder, HOW | {"tta": "flips"})
    for name, record in (("a", one), ("b", two), ("c", one)):
        record.note(name, name, {MASK: folder / MASK})
    content = json.loads((folder / NAME).read_text())
    assert sorted(content["inputs"]) == ["a", "b", "c", "x"]
    assert [content["how"][content["inputs"][name]["how"]]["tta"] for name in "abcx"] == [
        "none",
        "flips",
        "none",
        "none",
    ]


def test_no_flipped_bit_of_the_record_goes_unseen(folder):
    whole = (folder / NAME).read_bytes()
    draw = np.random.default_rng(0)
    for place in draw.integers(len(whole) - 1, size=200):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(draw.integers(8))
        (folder / NAME).write_bytes(flipped)
        try:
            read = PredictionRecord(folder, HOW)
        except ValueError as error:
            assert str(folder / NAME) in str(error)  # noqa: PT017
            assert "overwrite=true" in str(error)  # noqa: PT017
        else:  # a blank for another one
            assert read.look("x", "digest", [MASK], [MAP]).done


def test_masks_of_earlier_predictions_are_no_inputs(folder):
    record = PredictionRecord(folder, HOW)
    assert record.left([folder / MASK])
    assert not record.left([folder / "y.png"])
    assert not record.left([folder / MASK, folder / "y.png"])


def test_the_digest_is_that_of_all_files_of_an_input(tmp_path):
    one, two = tmp_path / "a.png", tmp_path / "b.png"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    assert len({input_digest([one]), input_digest([two]), input_digest([one, two]), input_digest([two, one])}) == 4
    two.write_bytes(b"1")
    assert input_digest([one]) == input_digest([two])


def test_measures_are_kept_and_others_are_wanted_again(folder):
    record = PredictionRecord(folder, HOW)
    found = record.look("x", "digest", [MASK], [MAP], 1.0)
    assert (found.done, found.why_not) == (False, "")
    measures = {"expected_dice": 0.5, "agreement": None, "entropy": None, "predicted": 0, "temperature": 1.0}
    record.note("x", "digest", {path: folder / path for path in (MASK, MAP)}, measures)
    again = PredictionRecord(folder, HOW)
    assert again.look("x", "digest", [MASK], [MAP], 1.0).done
    assert not again.look("x", "digest", [MASK], [MAP], 2.0).done
    assert again.qualities() == {"x": measures}
    assert PredictionRecord(folder, HOW | {"tta": "flips"}).qualities() == {}


def test_what_a_viewer_must_know_stands_beside_what_was_made(tmp_path):
    """Each combination of models and settings has its own classes; sources are told from the folder on."""
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    Image.new("L", (8, 8)).save(out / MASK)
    cell = Shown(channels=1, segments=[SegmentRow(name="cell", value=7, color=[1, 2, 3])], regions=False)
    for how, shown in ((HOW, cell), (HOW | {"tta": "flips"}, cell | {"channels": 3})):
        record = PredictionRecord(out, how, shown)
        record.note(how["tta"], "digest", {MASK: out / MASK}, None, [tmp_path / "scans" / "x.png"], [MASK])
    found = read_record(out)
    made = [found["inputs"][name] for name in ("none", "flips")]
    assert [found["shown"][one["how"]]["channels"] for one in made] == [1, 3]
    assert found["shown"][made[0]["how"]]["segments"] == [{"name": "cell", "value": 7, "color": [1, 2, 3]}]
    assert made[0]["sources"] == ["../../scans/x.png"]
    assert made[0]["masks"] == ["x.png"]
    assert read_record(tmp_path) == {"how": {}, "inputs": {}}
