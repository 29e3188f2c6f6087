import re

import rich

from segexp.training.progress_bar import ProgressBar
from tests.training.test_clock import fit, planned


def test_without_a_terminal_each_epoch_is_a_line_with_the_time_that_is_left(tmp_path, capsys):
    fit(tmp_path, lambda step: 1.0, planned(22, every=4), callbacks=[ProgressBar()])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 22
    # 19 epochs of 4 s, 5 validations, 10 s for the end.
    assert re.fullmatch(r"epoch 3 of 22: train/loss [\d.e-]+; 0 s, 2 min left", lines[2])
    assert re.fullmatch(r"epoch 22 of 22: train/loss [\d.e-]+, val/score 0.5; 0 s, 10 s left", lines[-1])


def test_in_a_terminal_the_bar_shows_the_epoch_as_people_count_and_the_time_of_the_whole_run(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(rich.get_console(), "_force_terminal", True)
    fit(tmp_path, lambda step: 1.0, planned(20), callbacks=[ProgressBar()])
    shown = capsys.readouterr().out
    assert "epoch 20 of 20" in shown
    assert "10 s left" in shown
