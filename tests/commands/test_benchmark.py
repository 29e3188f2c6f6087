import csv
import sys
import time

import pytest

from segexp.cli import main
from segexp.commands.benchmark import batches_per_second
from segexp.config import config_dir


def test_rates_are_counted_after_the_first_batches():
    def batches():
        time.sleep(0.5)
        yield from range(3)
        while True:
            time.sleep(0.02)
            yield 0

    assert batches_per_second(batches(), seconds=0.4, skip=2) == pytest.approx(50, rel=0.2)


def run(monkeypatch, tmp_path, *words: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["segexp", "benchmark", *words])
    main()


def test_every_preset_is_timed_or_says_why_not(monkeypatch, capsys, tmp_path):
    words = ["data.source.count=5", "data.source.size=[48,48]", "data.patch_size=[32,32]", "data.channels=2"]
    run(monkeypatch, tmp_path, "data", *words, "workers=[0]", "seconds=0.05")
    printed = capsys.readouterr().out
    presets = {path.stem for path in (config_dir() / "augment").glob("*.yaml")}
    with (tmp_path / "outputs/benchmark/data-synthetic.csv").open(newline="") as file:
        rows = {row["augment"]: row for row in csv.DictReader(file)}
    assert set(rows) == presets
    assert all(float(rows[name]["patches_per_second"]) > 0 for name in presets - {"fundus"})
    assert rows["fundus"]["patches_per_second"] == ""
    assert "fundus: augmentation ColorJitter, CLAHE is for images of 1 or 3 channels, these have 2" in printed
    assert "outputs/benchmark/data-synthetic.csv" in printed


def test_an_unknown_subject_is_guessed(monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "dta")
    assert "subject='dta' is not one of ['data'] (did you mean 'data'?)" in capsys.readouterr().err
