import numpy as np
import pytest

from segexp.data import DataModule
from segexp.data.sources import Synthetic


def module(**changes) -> DataModule:
    settings = {
        "source": Synthetic(size=(48, 48), count=10),
        "in_channels": 1,
        "num_classes": 2,
        "spatial_dims": 2,
        "class_names": ["interior", "membrane"],
        "patch_size": [32, 32],
        "patches_per_epoch": 8,
        "batch_size": 4,
        "split": {"val": 0.2, "test": 0.2},
        "num_workers": 0,
    }
    return DataModule(**(settings | changes))


def ready(**changes) -> DataModule:
    data = module(**changes)
    data.prepare_data()
    data.setup()
    return data


def test_sides_and_batches():
    data = ready()
    assert [len(data.cases(side)) for side in ("train", "val", "test")] == [6, 2, 2]
    batches = list(data.train_dataloader())
    assert [tuple(batch["image"].shape) for batch in batches] == [(4, 1, 32, 32)] * 2
    whole = list(data.test_dataloader())
    assert [batch["name"][0] for batch in whole] == list(data.split.test)
    assert tuple(whole[0]["image"].shape) == (1, 1, 48, 48)


def test_fold_moves_the_test_cases():
    assert set(ready(fold=0).split.test).isdisjoint(ready(fold=1).split.test)


def test_fingerprint_follows_content_alone():
    same, other = ready(seed=5).fingerprint(), ready(source=Synthetic(size=(48, 48), count=10, seed=1)).fingerprint()
    assert ready().fingerprint() == same != other


def test_volumes_of_three_classes_and_two_channels():
    data = ready(
        source=Synthetic(size=(16, 32, 32), count=5, num_classes=3, channels=2),
        in_channels=2,
        num_classes=3,
        spatial_dims=3,
        class_names=["interior", "membrane", "organelle"],
        patch_size=[8, 16, 16],
    )
    batch = next(iter(data.train_dataloader()))
    assert tuple(batch["image"].shape) == (4, 2, 8, 16, 16)
    assert set(np.unique(batch["target"])) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_names": ["one"]}, "one name for each of 2 classes"),
        ({"patch_size": [32]}, "one length for each of 2 axes"),
        ({"batch_size": 0}, "whole number of at least 1"),
        ({"num_workers": -1}, "data.num_workers=-1"),
        ({"mirror_margin": "yes"}, "data.mirror_margin='yes'"),
    ],
)
def test_wrong_settings_are_refused_at_once(changes, words):
    with pytest.raises(ValueError, match=words):
        module(**changes)


def test_cases_of_another_shape_are_refused_with_their_name():
    with pytest.raises(ValueError, match=r"has shape \(2, 48, 48\).*data.in_channels=1"):
        ready(source=Synthetic(size=(48, 48), count=10, channels=2))
