import sys

import numpy as np
import pytest
from PIL import Image

from segexp.commands.view import gallery_of, view
from segexp.prediction.record import PredictionRecord, SegmentRow, Shown


def test_without_napari_one_sentence_says_how_to_get_it(answer, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "napari", None)
    status, _, said = answer("view", str(tmp_path))
    assert (status, said) == (1, "segexp view: napari is not installed: pip install 'segexp[view]'\n")


def test_help_needs_no_napari(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "napari", None)
    with pytest.raises(SystemExit):
        view(["--help"])
    assert "images=" in capsys.readouterr().out


def test_a_folder_that_is_neither_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds neither run.json nor predicted.json: give the folder of a run"):
        gallery_of([str(tmp_path)])


@pytest.mark.parametrize("word", ["{}", "path={}"])
def test_predictions_are_told_by_their_record(word, tmp_path):
    for name in ("scan.png", "mask.png"):
        Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / name)
    shown = Shown(channels=1, segments=[SegmentRow(name="cell", value=1, color=[1, 2, 3])], regions=False)
    for name in ("scan", "other"):
        PredictionRecord(tmp_path, {}, shown).note(name, "", {}, None, [tmp_path / "scan.png"], [tmp_path / "mask.png"])
    assert gallery_of([word.format(tmp_path)]).names == ("scan", "other")
    gallery = gallery_of([word.format(tmp_path), "case=other"])
    assert gallery.names == ("other",)
    assert gallery.load("other").segments[0].name == "cell"
    with pytest.raises(ValueError, match="imags=x: predictions have no such key .did you mean 'images'"):
        gallery_of([word.format(tmp_path), "imags=x"])
