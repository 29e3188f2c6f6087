"""A checkpoint that came into another run's folder is named by every command that opens the folder."""

import shutil
from pathlib import Path

import pytest

from segexp.checkpoints.checkpoint import open_model
from segexp.checkpoints.own import require_own
from segexp.commands.evaluate import evaluate
from segexp.commands.export import export
from segexp.commands.predict import predict
from tests.conftest import trained

WORDS = "best.ckpt was written by another run: put back the one of this run"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """A run folder with the best checkpoint of another run."""
    folder = tmp_path_factory.mktemp("mixed")
    for name in ("one", "two"):
        trained(folder / name, "trainer.max_epochs=1", f"name={name}")
    shutil.copy(folder / "two" / "checkpoints" / "best.ckpt", folder / "one" / "checkpoints" / "best.ckpt")
    return folder / "one"


def test_every_command_names_it(mixed, tmp_path):
    with pytest.raises(ValueError, match=WORDS):
        predict([f"run={mixed}", f"input={tmp_path}", f"output={tmp_path}"])
    with pytest.raises(ValueError, match=WORDS):
        evaluate([f"run={mixed}"])
    with pytest.raises(ValueError, match=WORDS):
        export([f"run={mixed}"])


def test_the_file_itself_can_be_used(mixed):
    assert open_model(mixed / "checkpoints" / "best.ckpt").description.channels == 1


def test_runs_and_checkpoints_without_an_id_are_taken(tmp_path):
    require_own({"run_id": "a"}, tmp_path / "x.ckpt", "")
    require_own({}, tmp_path / "x.ckpt", "a")
    require_own({"run_id": "a"}, tmp_path / "x.ckpt", "a")
    with pytest.raises(ValueError, match="start a new run"):
        require_own({"run_id": "b"}, tmp_path / "x.ckpt", "a")
