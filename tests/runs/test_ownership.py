import os
import stat

from segexp.runs.ownership import is_own, sign


def test_signed_words_are_ones_own_until_they_are_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    words = ["name=${seed}", "data.cache.folder=/x"]
    signature = sign(words)
    assert sign(words) == signature
    assert is_own(words, signature)
    for others in ([*words, "seed=1"], words[::-1], words[:1], []):
        assert not is_own(others, signature)
    for other in (None, "", "0" * 64, "ü"):
        assert not is_own(words, other)
    assert stat.S_IMODE((tmp_path / "state" / "segexp" / "key").stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "state" / "segexp") == ["key"]


def test_another_user_has_another_key_and_who_has_none_signs_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mine"))
    signature = sign(["a=1"])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "yours"))
    assert not is_own(["a=1"], signature)
    assert sign(["a=1"]) != signature
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    assert sign(["a=1"]) is None
    assert not is_own(["a=1"], signature)


def test_a_damaged_key_signs_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "segexp").mkdir()
    (tmp_path / "segexp" / "key").write_bytes(b"")
    assert sign(["a=1"]) is None
    assert not is_own(["a=1"], "0" * 64)
