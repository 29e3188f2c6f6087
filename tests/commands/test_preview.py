import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segexp.build import build_data
from segexp.cli import main
from segexp.config import compose, plain
from segexp.pictures.figures import COLORS, HEADER

SMALL = ["data.source.size=[64,64]", "data.source.count=5", "data.sampling.patch_size=[48,48]"]


@pytest.fixture
def preview(monkeypatch, capsys, tmp_path):
    """Run ``segexp preview`` in an empty folder; return the sheet and what was printed."""

    def run(*words: str) -> tuple[np.ndarray, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["segexp", "preview", *words])
        main()
        printed = capsys.readouterr().out.strip()
        return np.asarray(Image.open(Path(printed))), printed

    return run


def test_one_sheet_lies_where_it_says(preview):
    sheet, printed = preview(*SMALL, "augment=heavy", "patches=3", "draws=2")
    assert printed == "outputs/preview/synthetic-heavy.png"
    assert sheet.shape == (HEADER + 3 * (192 + 2), 3 * (192 + 2), 3)  # patches of 48 are enlarged four times


def test_the_first_column_is_the_patch_of_training_and_none_leaves_it(preview):
    """Against the patches that the loader gives: equal up to the affine gray scale and the outlines."""
    sheet, _ = preview(*SMALL, "augment=none", "patches=2", "draws=1")
    data = build_data(plain(compose([*SMALL, "augment=none", "name=test"], run_dir="unused")))
    data.prepare_data()
    data.setup()
    patch = data.train_dataloader().dataset[0, 1]["image"][0].numpy()
    panel, again = (sheet[HEADER + 194 : HEADER + 194 + 192, left : left + 192] for left in (0, 194))
    np.testing.assert_array_equal(panel, again)
    gray = (panel[::4, ::4] == panel[::4, ::4, :1]).all(-1) & (panel[::4, ::4, 0] > 0) & (panel[::4, ::4, 0] < 255)
    assert np.corrcoef(panel[::4, ::4, 0][gray], patch[gray])[0, 1] > 0.999
    assert (panel == COLORS[0]).all(-1).any()


def test_volumes_show_a_slice(preview):
    words = [
        "data.source.size=[16,48,48]",
        "data.source.count=5",
        "data.sampling.patch_size=[8,48,48]",
        "data.geometry.spatial_dims=3",
    ]
    sheet, _ = preview(*words, "model=unet_3d", "augment=mri", "patches=1", "draws=3", "path=sheets/mri.png")
    assert sheet.shape == (HEADER + 194, 4 * 194, 3)


def test_too_few_draws_get_a_sentence(preview, capsys):
    with pytest.raises(SystemExit):
        preview("draws=0")
    assert "draws=0 must be an integer of at least 1" in capsys.readouterr().err
