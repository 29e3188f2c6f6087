"""Facts of a dataset.json, and how they reach the configuration."""

import pytest

from segexp.config import compose, plain
from segexp.data.sources import NnUNetRaw
from segexp.data.sources.dataset_json import dataset_fact


def test_facts_of_both_layouts(msd, nnunet):
    root = msd()
    assert [dataset_fact(root, fact) for fact in ("channels", "num_classes")] == [2, 3]
    assert dataset_fact(root, "class_names") == ["background", "PZ", "TZ"]
    root = nnunet()
    assert [dataset_fact(root, fact) for fact in ("channels", "num_classes")] == [2, 2]
    assert dataset_fact(root, "class_names") == ["background", "cord"]


def test_regions_are_those_of_the_network(nnunet):
    root = nnunet(
        labels={"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4},
        regions_class_order=[1, 2, 3],
    )
    words = ["data=nnunet", f"data.source.root={root}", "name=test", "loss=dice_bce"]
    config = plain(compose(words, run_dir="unused"))
    assert config["data"]["labels"]["class_names"] == ["background", "label_1", "label_2", "enhancing"]
    assert config["data"]["labels"]["regions"] == {"whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}
    assert NnUNetRaw(root).mask_values == {0: 0, 1: 1, 2: 2, 3: 3, 4: 255}
    own = plain(compose([*words, "data.labels.regions={all: [1, 2, 3]}"], run_dir="unused"))
    assert own["data"]["labels"]["regions"] == {"all": [1, 2, 3]}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"background": 0, "whole": ["core"]}, r"gives 'whole' the region \['core'\]: a region lists labels such as"),
        ({"background": 0, "whole": []}, r"gives 'whole' the region \[\]"),
        ({"background": 0, "whole": [1, 3]}, r"labels 0, 1, 3 in .*dataset\.json are not 0, 1, 2, …"),
        ({"0": "background", "2": "tumor"}, r"labels 0, 2 in .*dataset\.json are not 0, 1, 2, …: give data\.source"),
        ({"background": 0, "air": 0}, r"has 'air': 0 among its labels: each needs a name and a number of its own"),
        ({"background": "zero"}, r"has 'background': 'zero' among its labels"),
        ({}, 'has no "labels" such as'),
        (None, 'has no "labels" such as'),
    ],
)
def test_labels_that_cannot_be_used(nnunet, labels, message):
    with pytest.raises(ValueError, match=message):
        dataset_fact(nnunet(labels=labels), "num_classes")


def test_facts_that_lack(nnunet):
    with pytest.raises(ValueError, match='has neither "modality" nor "channel_names"'):
        dataset_fact(nnunet(channel_names=None), "channels")
    with pytest.raises(ValueError, match="fact='chanels' is not one of .*did you mean 'channels'"):
        dataset_fact(nnunet(), "chanels")


@pytest.mark.parametrize("option", ["msd", "nnunet"])
def test_facts_reach_the_configuration(option, nnunet):
    root = nnunet()
    config = plain(compose([f"data={option}", f"data.source.root={root}", "name=test"], run_dir="unused"))
    assert (config["data"]["channels"], config["data"]["labels"]["num_classes"]) == (2, 2)
    assert config["data"]["labels"]["class_names"] == ["background", "cord"]
    assert (config["model"]["in_channels"], config["model"]["num_classes"]) == (2, 2)


def test_a_root_without_dataset_json_is_named(tmp_path):
    cfg = compose(["data=msd", f"data.source.root={tmp_path}", "name=test"], run_dir="unused")
    with pytest.raises(Exception, match=r"dataset\.json is not there: set data\.source\.root to the folder"):
        plain(cfg)
