import importlib
import sys

import pytest

import segexp
from segexp.importable import make_importable
from segexp.runs.recipe import differing, own_sources, present_sources

NET = '"""A net."""\nfrom recipe_parts import part\n\nNet = part\n'
CONFIG = {"model": {"_target_": "recipe_net.Net"}}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder of configuration with a module of one's own that imports another one beside it, imported."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "recipe_net.py").write_text(NET)
    (tmp_path / "recipe_parts.py").write_text("part = 1\n")
    (tmp_path / "recipe_unused.py").write_text("")
    make_importable([folder])
    importlib.import_module("recipe_net")
    yield folder
    for name in ("recipe_net", "recipe_parts"):
        sys.modules.pop(name)


def test_own_modules_are_those_that_a_class_comes_from_with_what_they_import(project):
    assert list(own_sources(CONFIG, [project])) == ["recipe_net", "recipe_parts"]
    assert own_sources(CONFIG, []) == {}  # where it was found is no folder of the user's
    assert own_sources({"model": {"_target_": "segexp.models.UNet"}}, [project]) == {}


@pytest.mark.parametrize(
    ("text", "same"),
    [(f"# why\n{NET}\n\n", True), (NET.replace("= part", "= part + 1"), False), ("not Python", False), (None, False)],
    ids=["comment", "code", "broken", "gone"],
)
def test_code_counts_and_comments_do_not(project, text, same):
    before = own_sources(CONFIG, [project])
    file = project / "recipe_net.py"
    file.write_text(text) if text else file.unlink()
    now = present_sources(before, [project])
    assert (now.get("recipe_net") == before["recipe_net"]) == same
    assert now["recipe_parts"] == before["recipe_parts"]


def test_modules_are_digested_without_being_imported(project):
    (project / "recipe_evil.py").write_text("raise SystemExit\n")
    assert list(present_sources(["recipe_evil", "../recipe_net"], [project])) == ["recipe_evil"]
    assert "recipe_evil" not in sys.modules


def test_settings_differ_as_json_holds_them_with_secrets_masked():
    record = {
        "segexp_version": segexp.__version__,
        "config": {"model": {"sizes": [1, 2], "depth": 2}, "api_key": "<masked>"},
    }
    same = {"model": {"sizes": (1, 2), "depth": 2}, "api_key": "secret of mine", "name": "other"}
    assert differing(record, same) == {}
    assert differing(record, same | {"model": {"sizes": (1, 2), "width": 3}}) == {
        "model.depth": (2, None),
        "model.width": (None, 3),
    }
    assert differing(record | {"segexp_version": "0.0.1"}, same | {"seed": 1}) == {}  # that version had no such setting
