import sys

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf

from segexp.config import (
    as_written,
    compose,
    config_dir,
    own_config_dirs,
    own_options,
    plain,
    split_config_dirs,
    unwrapped,
)


def containers(node):
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from containers(child)


def test_the_plain_configuration_holds_no_omegaconf_and_nothing_of_the_sweep():
    cfg = compose(["name=x"], run_dir="unused")
    config = plain(cfg)
    assert not any(isinstance(node, DictConfig | ListConfig) for node in containers(config))
    assert not any(isinstance(node, str) and "${" in node for node in containers(config))
    assert "sweep" in cfg
    assert "sweep" not in config
    assert set(config) == set(cfg) - {"sweep"}


def test_the_run_folder_is_absolute_and_reaches_what_is_written_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = plain(compose(["name=x"], run_dir="run"))
    assert config["paths"]["run_dir"] == str(tmp_path / "run")
    assert config["callbacks"]["table"]["path"] == str(tmp_path / "run" / "metrics.csv")


def test_overrides_are_kept_as_they_were_written():
    node = OmegaConf.create(["a=${b}", "c=1"])
    assert as_written(node) == ["a=${b}", "c=1"]


def test_folders_of_configuration_are_split_from_a_command_line():
    folders, others = split_config_dirs(["--config-dir", "mine", "model=unet", "--config-dir=yours", "-cd", "theirs"])
    assert [str(folder) for folder in folders] == ["mine", "yours", "theirs"]
    assert others == ["model=unet"]


def test_an_error_is_found_below_what_hydra_wrapped():
    inner, outer = ValueError("inner"), InstantiationException("outer")
    outer.__cause__ = inner
    assert unwrapped(outer) is inner
    assert unwrapped(inner) is inner


def test_the_configuration_of_a_checkout_is_at_its_root():
    assert (config_dir() / "train.yaml").is_file()


def test_resolvers_follow_the_data():
    config = plain(compose(["name=x", "data.geometry.context=2"], run_dir="unused"))
    assert config["model"]["in_channels"] == 5 * config["data"]["channels"]
    regions = plain(compose(["name=x", "loss=bce", "data.labels.regions={a: [1], b: [1]}"], run_dir="unused"))
    assert regions["model"]["num_classes"] == 2
    assert regions["inference"]["predictor"]["activation"] == "sigmoid"


def test_options_of_ours_stand_before_those_of_installed_plugins_and_only_inside(recwarn):
    """As of hydra-ray-launcher and hydra-optuna-sweeper, which register schemas under names of ours."""
    theirs = OmegaConf.create({"_target_": "theirs.Launcher", "workers": 1})
    store = ConfigStore.instance()
    store.store(group="hydra/launcher", name="ray", node=theirs, provider="theirs")
    store.store(group="hydra/sweeper/sampler", name="tpe", node={"_target_": "theirs.Sampler"}, provider="theirs")
    try:
        with own_options(), initialize_config_dir(str(config_dir()), version_base="1.3"):
            words = ["hydra/launcher=ray", "hydra/sweeper=optuna"]
            hydra = hydra_compose("train", words, return_hydra_config=True).hydra
        assert hydra.launcher._target_ == "hydra_plugins.segexp_sweeps.launcher.RayLauncher"
        assert "workers" not in hydra.launcher
        assert hydra.sweeper.sampler._target_ == "optuna.samplers.TPESampler"
        assert store.load("hydra/launcher/ray.yaml").node == theirs  # other programs of Hydra's have theirs
    finally:
        del store.repo["hydra"]["launcher"]["ray.yaml"], store.repo["hydra"]["sweeper"]["sampler"]
    assert not recwarn.list


@pytest.mark.parametrize(
    ("folder", "name"), [("sweep_cells_lr/lr-0.1__ab12", "lr-0.1__ab12"), ("sweep_cells_lr/3", "sweep_cells_lr/3")]
)
@pytest.mark.parametrize(("logger", "key"), [("mlflow", "run_name"), ("wandb", "name")])
def test_loggers_of_many_runs_name_each_after_its_folder(folder, name, logger, key):
    assert plain(compose([f"logger={logger}"], run_dir=folder))["logger"][key] == name


def test_a_folder_of_ones_own_is_composed_with_remembered_and_made_importable(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    folder = tmp_path / "it's mine, ü"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "own.yaml").write_text("defaults: [unet_tiny]\ndepth: 2\n")
    assert compose(["model=own", "name=test"], run_dir="unused", config_dir=folder).model.depth == 2
    assert own_config_dirs() == [str(folder)]
    assert sys.path[-2:] == [str(tmp_path), str(folder)]
    compose(["name=test"], run_dir="unused")
    assert own_config_dirs() == []
    with pytest.raises(FileNotFoundError, match="gone: there is no such folder"):
        compose(config_dir=tmp_path / "gone")


def test_a_chosen_file_that_ours_hides_is_refused_unless_it_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "model").mkdir()
    own = tmp_path / "model" / "unet.yaml"
    own.write_text("_target_: mine.Net\n")
    assert compose(["name=test"], run_dir="unused", config_dir=tmp_path).model.depth == 4  # it is not chosen
    with pytest.raises(ValueError, match=r"unet\.yaml is hidden by segexp's own option model=unet, which comes first"):
        compose(["model=unet", "name=test"], run_dir="unused", config_dir=tmp_path)
    own.write_bytes((config_dir() / "model" / "unet.yaml").read_bytes())
    assert compose(["model=unet", "name=test"], run_dir="unused", config_dir=tmp_path).model.base_channels == 64
