import sys

from segexp.importable import make_importable


def test_modules_are_found_here_in_a_folder_of_configuration_and_beside_it_after_all_others(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["/first"])
    monkeypatch.chdir(tmp_path)
    make_importable(["mine/conf"])
    make_importable([tmp_path / "mine" / "conf"])
    assert sys.path == ["/first", *map(str, (tmp_path, tmp_path / "mine", tmp_path / "mine" / "conf"))]
