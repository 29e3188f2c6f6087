from pathlib import Path

import pytest
from omegaconf import OmegaConf

from segexp.config import compose, config_dir
from segexp.keys import groups_of, keys_of, options_of, read_keys

FILE = """# @package _global_
# What it is.
# More of it.
defaults:
  - one
top: 1 # first
# a comment of its own
list: [a, b] # of letters
  # and more
nest:
  _target_: x.Y
  text: "a # b" # quoted
  deep:
    value: null
last: ${x} # end
"""


def test_keys_have_their_values_and_comments(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(FILE)
    found = {key.name: (key.value, key.comment) for key in keys_of(path, Path("model/a.yaml"))}
    assert found == {
        "top": ("1", "first"),
        "list": ("[a, b]", "of letters and more"),
        "nest": ("", ""),
        "nest.text": ('"a # b"', "quoted"),
        "nest.deep": ("", ""),
        "nest.deep.value": ("null", ""),
        "last": ("${x}", "end"),
    }


def test_the_folder_of_a_file_is_the_start_of_its_keys(tmp_path):
    (tmp_path / "data/intensity").mkdir(parents=True)
    (tmp_path / "data/intensity/x.yaml").write_text("# Head.\nlow: 1\n")
    assert [key.name for key in read_keys(tmp_path)] == ["data.intensity.low"]
    assert options_of(tmp_path, "data/intensity") == {"x": "Head."}


def test_every_key_of_the_default_configuration_is_found_in_its_file():
    """By OmegaConf, which reads the same files."""
    known = {
        key.name.rpartition(".")[2] for key in read_keys(config_dir())
    }  # parts of a loss stand in files of their own
    config = OmegaConf.to_container(compose([]), resolve=False)
    config["data"]["source"] = {}  # lists and mappings within a value are no keys of a file

    def names(node: dict, before: str = "") -> list[str]:
        found = []
        for name, value in node.items():
            found += [f"{before}{name}", *(names(value, f"{before}{name}.") if isinstance(value, dict) else [])]
        return [name for name in found if not name.endswith("_")]

    groups = {name for group in groups_of(config_dir()) for name in group.split("/")} | {"parts"}
    found = {name.rpartition(".")[2] for name in names(config)}
    assert found - known - groups == set()


@pytest.mark.parametrize(
    "path", sorted(config_dir().glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_option_says_what_it_is(path):
    assert options_of(config_dir(), path.parent.name)[path.stem]
