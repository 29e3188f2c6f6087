"""Datasets of torch as sources: what items may look like, and that changed content is noticed."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.segmentation import relabel_sequential
from torch.utils.data import Dataset, TensorDataset

from segexp.data.cache import CaseCache
from segexp.data.sources import TorchDataset
from tests.data.made import data_module

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 255, (6, 8), np.uint8)
COLOR = RNG.integers(0, 255, (6, 8, 3), np.uint8)
MASK = RNG.integers(0, 2, (6, 8), np.uint8)
VOLUME = RNG.integers(0, 255, (4, 6, 8), np.uint8)
LABELS = RNG.integers(0, 2, (4, 6, 8), np.uint8)


class Items(Dataset):
    """Items as they are given."""

    def __init__(self, *items):
        self.items = list(items)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@pytest.mark.parametrize(
    ("item", "axes", "image", "mask"),
    [
        ((Image.fromarray(COLOR), Image.fromarray(MASK)), "CHW", COLOR.transpose(2, 0, 1), MASK),
        ((Image.fromarray(GRAY), MASK.astype(bool)), "CHW", GRAY[None], MASK),
        ((torch.from_numpy(GRAY) / 255, MASK.astype(float)), "CHW", GRAY[None] / np.float32(255), MASK),
        ((COLOR, torch.from_numpy(MASK)), "HWC", COLOR.transpose(2, 0, 1), MASK),
        (
            (torch.from_numpy(COLOR).movedim(-1, 0) / 255, MASK[None]),
            "CHW",
            COLOR.transpose(2, 0, 1) / np.float32(255),
            MASK,
        ),
        ((COLOR, MASK[..., None]), "HWC", COLOR.transpose(2, 0, 1), MASK),
        ((VOLUME, LABELS), "CDHW", VOLUME[None], LABELS),
        ((VOLUME[None], torch.from_numpy(LABELS)[None]), "CDHW", VOLUME[None], LABELS),
        ((VOLUME[..., None], LABELS), "DHWC", VOLUME[None], LABELS),
    ],
)
def test_items_of_all_kinds(item, axes, image, mask):
    case = TorchDataset(Items(item), axes=axes).read("item_00000")
    np.testing.assert_array_equal(case.image, image)
    np.testing.assert_array_equal(case.target, mask)
    assert case.target.dtype == np.uint8
    assert case.spacing == (1.0,) * mask.ndim
    assert case.spacing_unit == "px"


def test_keys_values_and_sizes_of_pixels():
    item = {"scan": GRAY, "seg": np.where(MASK, 7, 3)}
    source = TorchDataset(Items(item), "scan", "seg", values={3: 0, 7: 1}, spacing=[0.5, 0.25])
    case = source.read("item_00000")
    np.testing.assert_array_equal(case.target, MASK)
    assert (case.spacing, case.spacing_unit) == ((0.5, 0.25), "mm")
    assert source.mask_values == {3: 0, 7: 1}
    assert case.facts["mask_values"].keys() == {3, 7}


def test_entries_are_named_by_their_number():
    source = TorchDataset(TensorDataset(torch.zeros(3, 1, 4, 4), torch.zeros(3, 4, 4, dtype=torch.int64)))
    assert [entry.name for entry in source.entries()] == ["item_00000", "item_00001", "item_00002"]
    source.prepare()


class Noisy(Items):
    def __getitem__(self, index):
        return np.random.default_rng().random((6, 8)), MASK


@pytest.mark.parametrize(
    ("dataset", "settings", "sentence"),
    [
        ([], {}, "dataset list has no item"),
        (iter([]), {}, "dataset list_iterator has no length or no items by number"),
        (Items((GRAY,)), {}, r"has no image at 0 or no mask at 1, or cannot be read \(IndexError"),
        (Items({"image": GRAY}), {}, r"item 0 of dataset .*Items has no image at 0 .*KeyError"),
        (Items((COLOR, MASK)), {}, r"mask item_00000 of shape \(6, 8\) does not cover its image, \(8, 3\) without"),
        (Items((VOLUME[None], LABELS)), {}, r"image item_00000 of shape \(1, 4, 6, 8\) is neither CHW nor HW"),
        (Items((GRAY, MASK * 0.5)), {}, r"mask item_00000 holds fractions \(0.5\)"),
        (Items((GRAY, MASK.astype(int) * 1000)), {}, "mask item_00000 holds 1000, and classes are 0 to 254"),
        (Items((GRAY, MASK.astype(int) - 1)), {}, "mask item_00000 holds -1"),
        (Items((GRAY, MASK * 9)), {"values": {0: 0, 1: 1}}, "mask item_00000 has values without a class: 9"),
        (Items(("a.png", MASK)), {}, "image item_00000 is a str: it must be a PIL image, an array or a tensor"),
        (
            Items((GRAY, MASK)),
            {"instances": 2},
            "no mask at 1 or no instances at 2, .*set data.source.image, mask, instances",
        ),
        (Items((GRAY, MASK, MASK[1:])), {"instances": 2}, r"instances item_00000 of shape \(5, 8\) does not cover"),
        (Items((GRAY, MASK, 1 - MASK)), {"instances": 2}, "instances of item_00000 numbers objects that have no class"),
        (Items((GRAY, MASK)), {"axes": "HW"}, "axes='HW' is not one of"),
        (Items((GRAY, MASK)), {"spacing": [1.0]}, r"spacing=\[1.0\] must be one size above 0 in mm per axis of HW"),
        (Noisy(1), {}, "gives item 0 differently each time: leave out its random transforms"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(dataset, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        TorchDataset(dataset, **settings).prepare()


@pytest.mark.parametrize("key", [2, "objects"])
def test_items_may_number_their_objects(key):
    numbers = MASK * RNG.permutation(np.arange(1, 49)).reshape(6, 8)
    item = (GRAY, MASK, torch.from_numpy(numbers)[None]) if key == 2 else {0: GRAY, 1: MASK, key: numbers}
    case = TorchDataset(Items(item), instances=key).read("item_00000")
    assert case.instances.dtype == np.int32
    np.testing.assert_array_equal(case.instances, relabel_sequential(numbers)[0])
    assert TorchDataset(Items(item)).read("item_00000").instances is None
    both = TorchDataset(Items((GRAY, 1000 * numbers)), values={0: 0, "other": 1}, instances=1).read("item_00000")
    np.testing.assert_array_equal(both.target, MASK)
    np.testing.assert_array_equal(both.instances, case.instances)


def test_other_content_is_noticed_in_cache_and_fingerprint(tmp_path):
    def fingerprint(items):
        data = data_module(
            source=TorchDataset(Items(*items)),
            cache=CaseCache(tmp_path / "cache"),
            channels=1,
            num_classes=2,
            class_names=["outside", "inside"],
            spatial_dims=2,
            patch_size=[16, 16],
            val=0.2,
        )
        data.setup()
        return data.fingerprint(), {name: data._prepared[name].case.image.copy() for name in data.split.train}

    items = [(RNG.integers(0, 255, (32, 32), np.uint8), RNG.integers(0, 2, (32, 32), np.uint8)) for _ in range(5)]
    first, _ = fingerprint(items)
    assert fingerprint(items)[0] == first
    assert len(list((tmp_path / "cache" / "cases").iterdir())) == 5
    items[0] = (255 - items[0][0], items[0][1])
    second, images = fingerprint(items)
    assert second != first
    np.testing.assert_array_equal(images["item_00000"][0], items[0][0])
    assert len(list((tmp_path / "cache" / "cases").iterdir())) == 6
