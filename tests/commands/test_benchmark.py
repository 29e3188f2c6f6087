import csv
import json
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


@pytest.mark.slow
def test_every_preset_is_timed_or_says_why_not(monkeypatch, capsys, tmp_path):
    words = ["data.source.count=5", "data.source.size=[48,48]", "data.sampling.patch_size=[32,32]", "data.channels=2"]
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
    assert "subject='dta' is not one of ['data', 'step'] (did you mean 'data'?)" in capsys.readouterr().err


TINY = (
    *(
        "data.source.size=[48,48]",
        "data.source.count=6",
        "data.sampling.patch_size=[32,32]",
        "data.sampling.patches_per_epoch=16",
    ),
    *(
        "data.sampling.batch_size=4",
        "model.base_channels=8",
        "model.depth=2",
        "trainer=cpu",
        "trainer.precision=32-true",
    ),
)


def cost(monkeypatch, tmp_path, *words: str) -> dict:
    run(monkeypatch, tmp_path, "step", *TINY, "seconds=0.2", *words)
    return json.loads((tmp_path / "outputs/benchmark/step-synthetic.json").read_text())


def test_a_step_is_priced_and_its_checkpoints_are_as_large_as_those_of_a_run(monkeypatch, capsys, tmp_path):
    more = ["trainer.max_epochs=2", "callbacks.ema.enabled=true", "callbacks.panels.enabled=false"]
    found = cost(monkeypatch, tmp_path, *more)
    assert f"{found['parameters']:,}" in capsys.readouterr().out
    assert found["training_seconds"] == pytest.approx(found["seconds_per_step"] * 8)
    assert found["timed_steps"] * found["seconds_per_step"] <= found["measuring_seconds"]
    monkeypatch.setattr(sys, "argv", ["segexp", "train", *TINY, *more, "hydra.run.dir=run"])
    main()
    real = sum(path.stat().st_size for path in (tmp_path / "run/checkpoints").iterdir())
    assert found["run_bytes"] == pytest.approx(real, rel=0.03)


def test_steps_follow_from_batches_epochs_and_limits(monkeypatch, tmp_path):
    words = ["trainer.max_epochs=7", "trainer.accumulate_grad_batches=2", "trainer.limit_train_batches=0.5"]
    found = cost(monkeypatch, tmp_path, *words, "scheduler=plateau", "trainer=ddp_cpu", "callbacks.best.enabled=false")
    assert (found["steps_per_epoch"], found["epochs"], found["processes"]) == (2, 7, 2)
    assert found["training_seconds"] == pytest.approx(found["seconds_per_step"] * 14)
    assert found["run_bytes"] == 2 * found["checkpoint_bytes"]  # the last one, and the one before
    assert found["gpu_bytes"] is None


def test_regions_and_weight_maps_are_imitated(monkeypatch, tmp_path):
    regions = cost(monkeypatch, tmp_path, "loss=dice_bce", "data.labels.regions={membrane: [1], all: [1]}")
    weighted = cost(monkeypatch, tmp_path, "loss=weighted_ce_2015")
    assert regions["parameters"] == weighted["parameters"]


def test_larger_networks_make_larger_checkpoints(monkeypatch, tmp_path):
    small, large = (cost(monkeypatch, tmp_path, f"model.base_channels={base}") for base in (4, 32))
    assert large["checkpoint_bytes"] > 20 * small["checkpoint_bytes"]


def test_a_batch_that_is_larger_than_an_epoch_is_refused(monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "step", *TINY, "data.sampling.batch_size=32")
    assert "data.sampling.patches_per_epoch=16 must be at least data.sampling.batch_size=32" in capsys.readouterr().err
