"""``segexp suggest`` on a trained run: what it leaves, twice the same, and what it does with what it cannot read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segexp.commands.evaluate import evaluate
from segexp.commands.suggest import suggest
from tests.conftest import table, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return trained(
        tmp_path_factory.mktemp("suggest") / "run", "optimizer.lr=1e-2", "data.sampling.foreground_fraction=0.5"
    )


@pytest.fixture
def images(tmp_path) -> Path:
    """Five images of noise, one of them twice, and a broken one."""
    folder, rng = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for index in range(5):
        pixels = rng.integers(0, 50 * (index + 1), (40, 36 + index), np.uint8)
        Image.fromarray(pixels).save(folder / f"scan_{index}.png")
    Image.fromarray(pixels).save(folder / "scan_again.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_images_are_ranked_twice_the_same_and_a_bad_one_is_told(run, images, tmp_path, capsys):
    words = [f"run={run}", f"input={images}", "count=6", "pictures=2", "device=cpu", "diversity=0.9"]
    for folder in ("one", "two"):
        with pytest.raises(SystemExit) as stop:
            suggest([*words, f"output={tmp_path / folder}"])
        assert stop.value.code == 1
    printed = capsys.readouterr()
    assert "6 of 6 images suggested" in printed.out
    assert "no estimated Dice: segexp evaluate quality=true" in printed.out
    assert "broken.png" in printed.err
    for name in ("suggestions.csv", "suggestions.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    rows = table(tmp_path / "one" / "suggestions.csv")
    assert [row["rank"] for row in rows] == list("123456")
    assert rows[0]["distance"] == ""
    twins = {"scan_4.png", "scan_again.png"}
    assert Path(rows[-1]["file"]).name in twins  # its like was suggested before
    assert float(rows[-1]["distance"]) == pytest.approx(0, abs=1e-6)
    with Image.open(tmp_path / "one" / "suggestions.png") as sheet:
        assert sheet.width > 2 * 36


def test_what_a_run_knows_of_its_quality_makes_the_uncertainty(run, images, tmp_path):
    evaluate([f"run={run}", "quality=true", "inference=tiled", f"output={tmp_path / 'val'}", "split=val", "worst=0"])
    (images / "broken.png").unlink()
    labeled = f"labeled={images / 'scan_4.png'}"
    suggest(
        [f"run={run}", f"input={images}", f"output={tmp_path / 'out'}", "pictures=0", "count=1", "diversity=1", labeled]
    )
    (row,) = table(tmp_path / "out" / "suggestions.csv")
    assert float(row["uncertainty"]) == pytest.approx(1 - float(row["estimated_dice"]))
    assert row["why"].endswith("from the nearest, the labeled images")
    assert Path(row["file"]).name not in ("scan_4.png", "scan_again.png")
    assert not (tmp_path / "out" / "suggestions.png").exists()
