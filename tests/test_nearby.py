from pathlib import Path

import pytest

from segexp.config import config_dir
from segexp.nearby import with_own_options


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Working directory with options of its own, one of which has a name of ours."""
    monkeypatch.chdir(tmp_path)
    for name in ("data/mine", "data/isbi", "experiment/first"):
        path = tmp_path / f"conf/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path


@pytest.mark.parametrize("word", ["data=mine", "experiment=first", "data=isbi,mine"])
def test_options_that_lie_in_conf_alone_are_found(folder, word):
    assert with_own_options(["seed=1", word]) == ["--config-dir=conf", "seed=1", word]


@pytest.mark.parametrize(
    "words", [["data=isbi"], ["data=other"], ["model.depth=3"], ["--config-dir", "conf", "data=mine"]]
)
def test_all_else_stays_as_it_is(folder, words):
    assert with_own_options(words) == words


def test_our_own_folder_is_none(monkeypatch):
    monkeypatch.chdir(config_dir().parent)
    assert with_own_options(["data=isbi"]) == ["data=isbi"]
