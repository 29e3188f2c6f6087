"""The configuration and the classes say the same."""

import inspect
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import pytest
from hydra.utils import get_class, get_method
from omegaconf import OmegaConf

from segexp.build import build_data, build_task
from segexp.config import chosen_options, compose, config_dir, plain

CONF = config_dir()
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
FILES = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
OPTIONS = [file for file in FILES if file != ("data", "datamodule")]  # the base of the data sets is not one itself
HANDED_IN = {"augment", "weight_map", "seed", "network", "seen"}  # by build, from other groups
REGIONS = "data.labels.regions={object: [1]}"  # losses of overlapping regions want some
NEEDS = {
    "compound": ["loss.terms.ce=1"],
    "bce": [REGIONS],
    "dice_bce": [REGIONS],
    "custom": ["loss._target_=torch.nn.CrossEntropyLoss"],
    "model=custom": ["model._target_=torch.nn.Identity"],
    "torch_dataset": ["data.source.dataset={_target_: torch.utils.data.TensorDataset}"],
    "folder": ["data.source.images=a", "data.source.masks=b"],
    "manifest": ["data.source.csv=a.csv"],
}
DESCRIBED = {  # by a dataset.json in their root
    "msd": {"labels": {"0": "background", "1": "part"}, "modality": {"0": "MRI"}, "training": []},
    "nnunet": {"labels": {"background": 0, "part": 1}, "channel_names": {"0": "MRI"}, "file_ending": ".nii.gz"},
}
DESCRIBED["nnunet_2d"] = DESCRIBED["nnunet"]


def composed(group: str, option: str) -> dict:
    words = [f"{group}={option}", "name=test", *NEEDS.get(f"{group}={option}", NEEDS.get(option, []))]
    if option not in DESCRIBED:
        return plain(compose(words, run_dir="unused"))
    with TemporaryDirectory() as root:
        (Path(root) / "dataset.json").write_text(json.dumps(DESCRIBED[option]))
        return plain(compose([*words, f"data.source.root={root}"], run_dir="unused"))


def our_nodes(node: dict, key: str = "") -> list[tuple[str, dict]]:
    """All nodes that target a class or function of segexp."""
    found = [(key, node)] if str(node.get("_target_")).startswith("segexp.") else []
    for name, child in node.items():
        if isinstance(child, dict):
            found += our_nodes(child, f"{key}.{name}".strip("."))
    return found


def signature(node: dict) -> dict[str, inspect.Parameter]:
    target = node["_target_"]
    try:
        found = get_class(target)
    except ValueError:
        found = get_method(target)
    return dict(inspect.signature(found).parameters)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_lists_every_knob_of_our_classes(group, option):
    for key, node in our_nodes(composed(group, option)):
        keys = {str(k) for k in node if str(k)[0] != "_"}
        parameters = set(signature(node))
        assert keys <= parameters | {"enabled"}, f"{key}: {keys - parameters} are no parameters of {node['_target_']}"
        partly = {"optimizer", "total_steps", "predictor", "image", "target", "probs", "record", "metrics", "classes"}
        missing = parameters - keys - HANDED_IN - partly - {"p"}
        assert not missing, f"{key} ({node['_target_']}) does not show {missing}"


LOSSES = [path.stem for path in sorted((CONF / "loss").glob("*.yaml"))]
REFERENCES = [  # the file of each of our classes that is no variant: values = defaults of the signature
    ("model", "unet"),
    ("model", "fcn8s"),
    ("model", "unet_pretrained"),
    *[("loss", name) for name in LOSSES if name not in ("focal_tversky", "dice_ce", "dice_bce", "custom")],
    *[("scheduler", path.stem) for path in sorted((CONF / "scheduler").glob("*.yaml"))],
    ("inference", "tiled"),
    ("performance", "default"),
    *[("metrics", path.stem) for path in sorted((CONF / "metrics").glob("*.yaml"))],
    ("data", "datamodule"),
    *[("data/intensity", path.stem) for path in sorted((CONF / "data" / "intensity").glob("*.yaml"))],
]


@pytest.mark.parametrize(("group", "option"), REFERENCES)
def test_values_are_the_defaults_of_the_signature(group, option):
    nodes = our_nodes(OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml")))
    assert nodes
    for key, node in nodes:
        for name, parameter in signature(node).items():
            if name not in node or parameter.default is inspect.Parameter.empty or "${" in str(node[name]):
                continue
            if isinstance(node[name], dict) and "_target_" in node[name]:  # its own values are compared in its turn
                continue
            default = parameter.default
            if isinstance(default, tuple | MappingProxyType):
                default = list(default) if isinstance(default, tuple) else dict(default)
            assert node[name] == default, f"{group}/{option}.yaml {key}.{name}={node[name]}, signature {default}"


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_builds_with_its_data(loss):
    config = plain(compose([f"loss={loss}", "name=test", *NEEDS.get(loss, [])], run_dir="unused"))
    build_data(config)
    assert build_task(config).loss is not None


def test_configuration_is_found_beside_the_package_or_at_the_root():
    assert (config_dir() / "train.yaml").is_file()
    assert Path(config_dir()).name == "conf"


def test_settings_of_the_machine_are_merged_last_where_there_are_any(tmp_path, monkeypatch):
    """A copy of conf/, so that the file of another test or of the user plays no part."""
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf, ignore=shutil.ignore_patterns("local"))
    monkeypatch.setattr("segexp.config.config_dir", lambda: conf)
    monkeypatch.chdir(tmp_path)
    recipe = ["experiment=isbi_cpu", "name=test"]
    without = compose(recipe, run_dir="unused")
    assert "local" not in chosen_options()
    (conf / "local").mkdir()
    (conf / "local" / "default.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /logger: csv\n\nseed: 7\ndata:\n  sampling:\n    batch_size: 3\n"
    )
    found = compose(recipe, run_dir="unused")
    assert (without.data.sampling.batch_size, found.data.sampling.batch_size, found.seed) == (8, 3, 7)
    assert chosen_options()["logger"] == "csv"
    assert "local" not in chosen_options()
    assert compose([*recipe, "seed=1"], run_dir="unused").seed == 1
    assert compose(["name=test"], name="audit", run_dir="unused").seed == 7
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]  # no folder of a run that does not start
