import os
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from omegaconf import OmegaConf

from segexp import parsed
from segexp.config import compose


def composed(folder: Path) -> dict:
    with initialize_config_dir(str(folder), version_base="1.3"):
        return OmegaConf.to_container(hydra_compose("main"))


@pytest.fixture
def folder(tmp_path):
    """A configuration in which one file stands at two places."""
    (tmp_path / "a").mkdir()
    (tmp_path / "main.yaml").write_text("defaults:\n- a@one: first\n- a@two: first\n- _self_\none: {rate: 1}\n")
    (tmp_path / "a" / "first.yaml").write_text("rate: 5\nsizes: [1, 2]\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("train", ["name=x", "experiment=isbi_cpu", "model=unet_tiny", "logger=null", "model.depth=2"]),
        ("train", ["name=x", "metrics=[overlap,surface]", "~callbacks.progress", "+loss.more={a: 1}"]),
        ("train", ["name=x", "sweep=folds", "hydra/launcher=ray"]),
    ],
)
def test_a_composition_is_the_one_that_hydra_makes_without_the_cache(name, overrides, monkeypatch):
    ours = [compose(overrides, name) for _ in range(2)]
    monkeypatch.setattr(ConfigRepository, "load_config", parsed._load_config)
    monkeypatch.setattr(ConfigLoaderImpl, "_embed_result_config", staticmethod(parsed._embed))
    monkeypatch.setattr(defaults_list, "_create_interpolation_map", parsed._interpolation_map)
    assert ours == [compose(overrides, name)] * 2


def test_what_is_kept_of_the_files_stays_as_it_was_read():
    compose(["name=x", "experiment=isbi_cpu"])
    kept = {key: OmegaConf.to_yaml(read.config) for key, read in parsed.parsed.items()}
    cfg = compose(["name=x", "experiment=isbi_cpu", "~callbacks.progress", "data.split.val=3-5"])
    cfg.trainer.max_epochs = 77
    assert len(kept) > 20
    assert {key: OmegaConf.to_yaml(read.config) for key, read in parsed.parsed.items() if key in kept} == kept


def test_one_file_at_two_places_is_two_copies(folder):
    expected = {"one": {"rate": 1, "sizes": [1, 2]}, "two": {"rate": 5, "sizes": [1, 2]}}
    assert [composed(folder), composed(folder)] == [expected, expected]


@pytest.mark.parametrize("text", ["rate: 6\nsizes: [1, 2]\n", "rate: 5\nsizes: [1, 2, 3]\nname: b\n"])
def test_a_file_that_changes_is_read_again(text, folder):
    composed(folder)
    file = folder / "a" / "first.yaml"
    file.write_text(text)
    os.utime(file, ns=(1, 1))  # a clock of files may be coarse
    assert composed(folder)["two"] == OmegaConf.to_container(OmegaConf.create(text))


def test_a_file_that_was_moved_over_another_is_read(folder):
    composed(folder)
    file = folder / "a" / "first.yaml"
    state = file.stat()
    (folder / "new.yaml").write_text("rate: 7\nsizes: [1, 2]\n")
    (folder / "new.yaml").replace(file)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert composed(folder)["two"]["rate"] == 7
