"""Hidden folders are gone afterwards, and Ctrl-C stays Ctrl-C, also while they are emptied."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from segexp.data.files.hidden import hidden_folder, remove_folder


def filled(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (folder / name).write_text(name)
    return folder


def test_a_folder_that_was_made_is_gone(tmp_path):
    with hidden_folder(tmp_path, "new") as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith(".new-")
        filled(folder).joinpath("a").rename(tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_folder_that_was_not_made_is_no_error(tmp_path):
    with hidden_folder(tmp_path / "nowhere", "new"):
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_inside_is_passed_on(tmp_path):
    def fail() -> None:
        with hidden_folder(tmp_path, "new") as folder:
            filled(folder)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["unlink", "rmdir", "close"])
def test_ctrl_c_while_it_is_emptied(tmp_path, monkeypatch, call):
    """Of close: in the main thread, shutil.rmtree closes the folder a second time and raises an OSError."""
    real, calls = getattr(os, call), []

    def stopped(*given: Any, **more: Any) -> None:
        real(*given, **more)
        calls.append(given)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)

    def empty() -> None:
        with hidden_folder(tmp_path, "new") as folder:
            filled(folder)
            monkeypatch.setattr(os, call, stopped)
            remove_folder(folder)

    with pytest.raises(KeyboardInterrupt):
        empty()
    assert calls
    assert not list(tmp_path.iterdir())
