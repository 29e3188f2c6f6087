"""Mappings that are one value replace each other; what a recipe sets for another option is left out, with a line."""

from pathlib import Path

import pytest
import yaml
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from segexp import merging
from segexp.config import compose, config_dir, search_path
from segexp.signatures import ANYTHING, parameters
from tests.conftest import sentence

CONF = config_dir()
FOLDER = ["data=folder", "data.source.images=a", "data.source.masks=b"]


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(merging, "told", set())


def recipe(folder: Path, name: str, content: dict, *defaults: object) -> list[str]:
    """Words that choose a recipe of one's own."""
    path = folder / "experiment" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    listed = {"defaults": [*defaults, "_self_"]} if defaults else {}
    path.write_text("# @package _global_\n" + yaml.safe_dump(listed | content))
    return [*search_path([folder]), f"experiment={name}"]


# Mappings that replace

REPLACED = [  # key, words that give it a first value, a further value
    ("data.source.values", [*FOLDER, "data.source.values={0: 0, 255: 1}"], {0: 0, 1: 1}),
    ("data.source.colors", [*FOLDER, "data.source.colors={black: 0, red: 1}"], {"black": 0, "blue": 1}),
    ("data.labels.regions", ["data.labels.regions={a: [1]}", "loss=bce"], {"b": [1]}),
    ("metrics.overlap.regions", ["data.labels.regions={a: [1]}", "loss=bce"], {"b": [1]}),
    ("data.split.lists", ["data.split.lists={train: [a], val: [b]}"], {"train": ["c"]}),
    ("data.intensity.measured", ["data/intensity=training", "data.intensity.measured={low: [1]}"], {"high": [1]}),
    ("loss.terms", ["loss=dice_ce"], {"dice": 2}),
    ("loss.terms", ["loss=compound", "loss.terms.lovasz=3"], {"dice": 2}),
    ("logger.settings", ["logger=wandb"], {"console": "off"}),
]


@pytest.mark.parametrize("sign", ["", "++"])
@pytest.mark.parametrize(("key", "first", "further"), REPLACED)
def test_a_mapping_on_the_command_line_replaces(key, first, further, sign):
    cfg = compose([*first, f"{sign}{key}={words_of(further)}"])
    assert OmegaConf.to_container(OmegaConf.select(cfg, key)) == further


@pytest.mark.parametrize(("key", "first", "further"), REPLACED)
def test_a_mapping_in_a_recipe_replaces(key, first, further, tmp_path):
    """The first value stands in a recipe that the second one builds on."""
    inner: dict = {}
    options = []
    for word in first:
        name, _, value = word.partition("=")
        if name in ("data", "data/intensity", "loss", "logger"):
            options.append({f"override /{name}": value})
        else:
            nest(inner, name, yaml.safe_load(value))
    recipe(tmp_path, "base", inner, *options)
    cfg = compose(recipe(tmp_path, "mine", nest({}, key, further), "base"))
    assert OmegaConf.to_container(OmegaConf.select(cfg, key)) == further


def test_a_plus_adds_to_a_mapping_and_a_single_key_changes_one():
    cfg = compose(["loss=dice_ce", "loss.terms={dice: 2}", "+loss.terms={ce: 3}", "loss.terms.dice=4"])
    assert cfg.loss.terms == {"dice": 4, "ce": 3}


def test_a_mapping_of_parts_is_merged(tmp_path):
    """Metrics and callbacks are collections of named parts; settings of a part leave its others as they are."""
    cfg = compose(
        [*recipe(tmp_path, "mine", {"callbacks": {"ema": {"enabled": True}}}), "metrics.overlap={regions: null}"]
    )
    assert cfg.callbacks.ema.decay == "auto"
    assert {"best", "table"} <= set(cfg.callbacks)
    assert cfg.metrics.overlap._target_ == "segexp.metrics.OverlapScores"


def words_of(mapping: dict) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in mapping.items()) + "}"


def nest(content: dict, key: str, value: object) -> dict:
    *places, last = key.split(".")
    node = content
    for place in places:
        node = node.setdefault(place, {})
    node[last] = value
    return content


# All mappings of conf/

REPLACE = {"loss.terms", "logger.settings"}  # one value each
REPLACE_NULL = {  # as soon as they have a value: their default is null
    "data.source.values",
    "data.source.colors",
    "data.labels.regions",
    "data.split.lists",
    "data.intensity.measured",
    "hydra.launcher.additional",
    "hydra.sweeper.params",
}
MERGE = {  # parts and settings by name; beside all nodes with a _target_
    "callbacks",
    "inference",
    "metrics",
    "paths",
    "sweep",
    "loss.parts",
}


def mappings(node: DictConfig, place: str = ""):
    for key in node:
        child = merging._mapping(node._get_node(key))
        if child is not None:
            yield f"{place}{key}", node, child
            yield from mappings(child, f"{place}{key}.")


def contents():
    """Content of all options, each file at its place."""
    for path in sorted(CONF.rglob("*.yaml")):
        group = ".".join(path.relative_to(CONF).parent.parts)
        header = path.read_text().startswith("# @package _global_")
        content = OmegaConf.load(path)
        content.pop("defaults", None)
        if not path.is_relative_to(CONF / "experiment"):
            yield nest({}, group, content) if group and not header else content


def test_of_each_mapping_of_the_configuration_it_is_known_whether_it_replaces():
    everything = OmegaConf.merge(*contents(), compose(["loss=compound"]))
    found = [item for item in mappings(everything) if not item[0].startswith("hydra")]
    assert {place for place, parent, node in found if merging.is_value(node, parent)} == REPLACE
    others = {place for place, parent, node in found if not merging.is_value(node, parent) and "_target_" not in node}
    assert others == MERGE


def test_whatever_may_be_a_mapping_by_its_comment_is_among_those_that_replace():
    """A comment shows a mapping as {key: value}."""
    shown = set()
    for path in CONF.rglob("*.yaml"):
        for line in path.read_text().splitlines():
            key, colon, comment = line.partition(": null #")
            if colon and "{" in comment and ": " in comment.partition("{")[2]:
                shown.add(key.strip())
    assert shown == {place.rpartition(".")[2] for place in REPLACE_NULL}


# Keys of options that are not chosen


def test_a_key_of_a_recipe_for_a_replaced_option_is_left_out_with_a_line(capsys):
    cfg = compose(["experiment=isbi_cpu", "scheduler=plateau"])
    assert "warmup" not in cfg.scheduler
    assert cfg.model.base_channels == 16
    said = "experiment/isbi_cpu sets scheduler.warmup, which does not belong to scheduler=plateau: left out\n"
    assert capsys.readouterr().err == said
    compose(["experiment=isbi_cpu", "scheduler=plateau"])
    assert capsys.readouterr().err == ""  # once


def test_a_recipe_with_its_own_options_keeps_all_its_keys(capsys):
    for path in (CONF / "experiment").glob("*.yaml"):
        compose([f"experiment={path.stem}"])
    assert capsys.readouterr().err == ""


def test_a_recipe_built_on_another_one_may_replace_options(tmp_path, capsys):
    words = recipe(tmp_path, "mine", {"scheduler": {"patience": 3}}, "isbi_cpu", {"override /scheduler": "plateau"})
    assert compose(words).scheduler.patience == 3
    assert "scheduler.warmup" in capsys.readouterr().err


def test_a_class_and_further_parts_of_a_recipe(tmp_path, capsys):
    """Its class goes with its option; a callback or metric of its own stays."""
    content = {
        "model": {"_target_": "mine.Net", "width": 3},
        "metrics": {"more": {"_target_": "mine.Metric"}},
    }
    cfg = compose([*recipe(tmp_path, "mine", content), "model=fcn8s", "metrics=[overlap,surface]"])
    assert cfg.metrics.more._target_ == "mine.Metric"
    assert cfg.model._target_ == "segexp.models.FCN8s"
    assert "width" not in cfg.model
    assert "experiment/mine sets model, which does not belong to model=fcn8s" in capsys.readouterr().err


def test_a_mistyped_key_of_a_recipe_is_no_key_of_another_option(tmp_path):
    """It stays, for the class to refuse it."""
    assert compose(recipe(tmp_path, "mine", {"scheduler": {"wramup": 0.1}})).scheduler.wramup == 0.1


RECIPES = sorted((CONF / "experiment").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_goes_with_every_option_of_every_group_that_it_touches(path):
    """No class is given a key that it does not take."""
    for group in [key for key in OmegaConf.load(path) if (CONF / str(key)).is_dir()]:
        for option in [file.stem for file in sorted((CONF / group).glob("*.yaml")) if file.stem != "custom"]:
            cfg = compose([f"experiment={path.stem}", f"{group}={option}"])
            for place, _, node in mappings(cfg):
                names = parameters(str(node._get_node("_target_"))) if "_target_" in node else []
                keys = {str(key) for key in node if not str(key).startswith("_")} - {"enabled"}
                assert not names or ANYTHING in names or keys <= set(names), f"{group}={option}: {place}"


# Sweeps over options


SWEPT = ["-m", "sweep.seeds=[-1]", "loss=dice,tversky"]  # refused once all jobs have been composed


def test_a_key_that_the_swept_options_have_need_not_be_one_of_the_default(answer):
    assert "sweep.seeds=-1" in sentence(answer, *SWEPT, "loss.smooth=2")


def test_a_key_that_no_swept_option_has_is_refused(answer):
    assert "loss.smoth" in sentence(answer, *SWEPT, "loss.smoth=2")
    assert "sweep.dryrun" in sentence(answer, *SWEPT, "sweep.dryrun=true")
    with pytest.raises(ConfigCompositionException):
        compose(["loss=dice", "loss.smoth=2"])


# null in place of an option


def test_null_is_the_option_none_where_there_is_one_and_no_recipe_where_none_is_chosen_by_default():
    cfg = compose(["logger=null", "augment=null", "experiment=isbi_cpu", "experiment=null"])
    assert not cfg.get("logger")
    assert list(cfg.augment.transforms) == []
    assert cfg.name != "isbi_cpu"


@pytest.mark.parametrize("word", ["loss=null", "model=null", "data/intensity=null", "loss=dice,null"])
def test_null_where_an_option_must_be_chosen_names_the_options(answer, word):
    said = sentence(answer, *(["-m"] if "," in word else []), word)
    group = word.partition("=")[0]
    assert f"{group}=null: one must be chosen; there are: " in said
