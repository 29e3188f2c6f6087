import os
import stat

import pytest

from segexp.runs.ownership import (
    config_dirs_of_run,
    is_own,
    is_own_network,
    require_config_dirs,
    sign,
    sign_network,
)


def own(words, signature, **more):
    return is_own({"overrides": words, "signature": signature, **more})


def test_signed_words_are_ones_own_until_they_are_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    words = ["name=${seed}", "data.cache.folder=/x"]
    signature = sign(words)
    assert sign(words) == signature
    assert own(words, signature)
    for others in ([*words, "seed=1"], words[::-1], words[:1], []):
        assert not own(others, signature)
    for other in (None, "", "0" * 64, "ü"):
        assert not own(words, other)
    assert stat.S_IMODE((tmp_path / "state" / "segexp" / "key").stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "state" / "segexp") == ["key"]


def test_another_user_has_another_key_and_who_has_none_signs_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mine"))
    signature = sign(["a=1"])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "yours"))
    assert not own(["a=1"], signature)
    assert sign(["a=1"]) != signature
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    assert sign(["a=1"]) is None
    assert not own(["a=1"], signature)


def test_a_damaged_key_signs_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "segexp").mkdir()
    (tmp_path / "segexp" / "key").write_bytes(b"")
    assert sign(["a=1"]) is None
    assert not own(["a=1"], "0" * 64)


def test_folders_of_configuration_are_signed_with_the_words(tmp_path):
    folder = str(tmp_path)
    record = {"overrides": ["a=1"], "config_dirs": [folder], "signature": sign(["a=1"], [folder])}
    assert config_dirs_of_run(record) == [tmp_path]
    for change in ({"config_dirs": [f"{folder}/other"]}, {"config_dirs": []}, {"signature": sign(["a=1"])}):
        assert config_dirs_of_run(record | change) == []
    require_config_dirs([tmp_path])
    with pytest.raises(FileNotFoundError, match="gone, where there is no folder now.*--config-dir"):
        require_config_dirs([tmp_path / "gone"])


def test_a_network_is_signed_by_its_class_and_arguments(tmp_path, monkeypatch):
    arguments = {"channels": 8, "inner": {"_target_": "mine.Part", "sizes": [1, 2]}}
    signature = sign_network("mine.Net", arguments)
    assert is_own_network("mine.Net", dict(reversed(arguments.items())), signature)
    assert not is_own_network("mine.Net", arguments | {"channels": 9}, signature)
    assert not is_own_network("os.system", arguments, signature)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert not is_own_network("mine.Net", arguments, signature)
