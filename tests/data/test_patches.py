from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from segexp.data import AffineElastic, Augment, GridElastic, Sampling
from segexp.data.case import Case
from segexp.data.intensity.rules import ZScore
from segexp.data.patches import CaseDataset, PatchDataset, PatchSampler, crop, together
from segexp.data.prepared import prepare
from segexp.data.resample import resample


def cases(count: int = 3, size: tuple[int, ...] = (40, 48)) -> list:
    rng = np.random.default_rng(0)
    made = []
    for i in range(count):
        mask = (rng.random(size) > 0.7).astype(np.uint8)
        made.append(
            prepare(Case(f"case_{i}", rng.integers(0, 255, (1, *size), np.uint8), mask, (1.0,) * len(size)), ZScore())
        )
    return made


def epoch_of(dataset: PatchDataset, epoch: int, workers: int = 0, rank: int = 0, world: int = 1) -> list[torch.Tensor]:
    sampler = PatchSampler(12, 4, rank, world)
    sampler.set_epoch(epoch)
    return [batch["image"] for batch in DataLoader(dataset, batch_sampler=sampler, num_workers=workers)]


@pytest.fixture
def dataset() -> PatchDataset:
    return PatchDataset(cases(), Sampling((16, 16)), Augment([GridElastic(sigma=2)]), seed=7)


def test_zero_and_two_workers_give_equal_batches(dataset):
    for epoch in (0, 1):
        for one, two in zip(epoch_of(dataset, epoch), epoch_of(dataset, epoch, workers=2), strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("regions", [None, {"one": [1], "any": [1, 2]}])
@pytest.mark.parametrize("workers", [0, 1])
def test_the_patches_of_a_batch_are_those_that_are_asked_for_one_by_one(workers, regions):
    made = [prepare(p.case, ZScore(), lambda mask: mask.astype(np.float32) * 3) for p in cases()]
    dataset = PatchDataset(made, Sampling((16, 16)), Augment([GridElastic(sigma=2)], ["y", "x"]), regions=regions)
    sampler = PatchSampler(4, 4)
    batch = next(iter(DataLoader(dataset, batch_sampler=sampler, num_workers=workers, collate_fn=together)))
    one_by_one = default_collate([dataset[0, position] for position in range(4)])
    assert list(batch) == list(one_by_one) == ["image", "target", "weight"]
    for name, tensor in batch.items():
        assert tensor.dtype == one_by_one[name].dtype
        assert torch.equal(tensor, one_by_one[name])


def test_a_weight_map_that_some_patches_lose_is_refused():
    made = [prepare(p.case, ZScore(), lambda mask: mask.astype(np.float32)) for p in cases()]

    def loses(image, mask, weight, rng, spacing):
        return image, mask, weight if rng.random() < 0.5 else None

    with pytest.raises(ValueError, match="a weight map with some patches of a batch and none with others"):
        PatchDataset(made, Sampling((16, 16)), loses).__getitems__([(0, position) for position in range(16)])


def test_a_batch_is_not_copied_together(dataset):
    patches = dataset.__getitems__([(0, 0), (0, 1)])
    batch = together(patches)
    assert batch["image"].data_ptr() == patches[0]["image"].data_ptr()
    assert torch.equal(together(list(patches))["image"], batch["image"])  # a list of anybody's


def test_two_processes_share_out_the_global_batch(dataset):
    whole = epoch_of(dataset, 3)
    parts = [epoch_of(dataset, 3, rank=rank, world=2) for rank in (0, 1)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(batch, torch.cat([first, second]))


def test_augmentation_about_all_axes_heeds_the_spacing_of_the_case():
    """Slices a thousand times as thick as wide are not turned out of their plane, those of cubes are."""
    turn = Augment([AffineElastic(degrees=45, p_rotation=1, p_scaling=0, p_elastic=0)])
    gray = np.broadcast_to(np.arange(8, dtype=np.float32)[None, :, None, None], (1, 8, 16, 16))
    changes = []
    for spacing in ((1000.0, 1.0, 1.0), (1.0, 1.0, 1.0)):
        case = prepare(Case("c", gray, np.zeros((8, 16, 16), np.uint8), spacing), ZScore())
        patches = [PatchDataset([case], Sampling((8, 16, 16)), augment)[0, 0]["image"] for augment in (Augment(), turn)]
        changes.append((patches[0] - patches[1]).abs().max().item())
    assert changes[0] < 0.02 < 0.5 < changes[1]


def test_no_epoch_and_position_repeats_a_draw(dataset):
    patches = torch.cat([batch for epoch in range(4) for batch in epoch_of(dataset, epoch)])
    assert len(torch.unique(patches.flatten(1), dim=0)) == len(patches) == 48


def test_another_seed_draws_other_patches(dataset):
    other = PatchDataset(cases(), Sampling((16, 16)), Augment(), seed=8)
    assert not torch.equal(dataset[0, 0]["image"], other[0, 0]["image"])


def test_every_corner_can_be_drawn():
    """All positions of a patch in the case occur, the last one included."""
    case = Case("c", np.arange(20, dtype=np.uint8).reshape(1, 4, 5), np.zeros((4, 5), np.uint8), (1.0, 1.0))
    dataset = PatchDataset([prepare(case, ZScore())], Sampling((3, 3)), Augment())
    corners = {round(float(dataset[0, i]["image"][0, 0, 0]), 4) for i in range(200)}
    assert len(corners) == 2 * 3


def test_intensities_are_standardized_per_case_and_masks_untouched():
    prepared = cases(1)[0]
    item = CaseDataset([prepared])[0]
    assert float(item["image"].mean()) == pytest.approx(0, abs=1e-4)
    assert float(item["image"].std(unbiased=False)) == pytest.approx(1, abs=1e-4)
    assert torch.equal(item["target"], torch.from_numpy(prepared.case.target.astype(np.int64)))
    assert item["name"] == "case_0"


def test_constant_image_maps_to_zero_and_nan_is_refused_by_name():
    flat = Case("flat", np.full((1, 8, 8), 7, np.uint8), np.zeros((8, 8), np.uint8), (1.0, 1.0))
    assert torch.count_nonzero(CaseDataset([prepare(flat, ZScore())])[0]["image"]) == 0
    bad = Case("bad", np.full((1, 8, 8), np.nan, np.float32), None, (1.0, 1.0))
    with pytest.raises(ValueError, match="case bad .*not finite"):
        prepare(bad, ZScore())


def test_patch_larger_than_case_is_refused_unless_mirrored():
    with pytest.raises(ValueError, match=r"3 of 3 training cases are smaller.*case_0 \(40, 48\).*mirror_margin=auto"):
        PatchDataset(cases(), Sampling((64, 48)), Augment())
    item = PatchDataset(cases(), Sampling((64, 48), mirror_margin="auto"), Augment())[0, 0]
    assert item["image"].shape == (1, 64, 48)


def test_mirror_margin_reaches_beyond_the_border():
    case = Case("c", np.arange(16, dtype=np.uint8).reshape(1, 4, 4), np.zeros((4, 4), np.uint8), (1.0, 1.0))
    item = PatchDataset([prepare(case, ZScore())], Sampling((8, 8), mirror_margin=2), Augment())[
        0, 0
    ]  # fits in one way only
    gray = item["image"][0].numpy() * np.arange(16).std() + np.arange(16).mean()
    np.testing.assert_allclose(gray, np.pad(np.arange(16).reshape(4, 4), 2, mode="reflect"), atol=1e-4)


def coordinates(shape=(6, 8, 10), channels=1) -> Case:
    """A volume whose intensity tells its slice, for channel c raised by 100 c."""
    image = np.broadcast_to(np.arange(shape[0], dtype=np.float32)[:, None, None], shape)
    image = np.stack([image + 100 * c for c in range(channels)])
    mask = np.zeros(shape, np.uint8)
    mask[4, 6, 8] = 1
    mask[1, :, :] = 2
    return Case("v", image, mask, (1.0,) * 3)


def test_slices_of_a_volume_come_with_their_neighbors():
    prepared = prepare(coordinates(channels=2), ZScore())
    dataset = PatchDataset([prepared], Sampling((4, 4)), Augment(), context=1)
    seen = set()
    for i in range(60):
        item = dataset[0, i]
        assert item["target"].shape == (4, 4)
        gray = item["image"].numpy().reshape(2, 3, 4, 4) * np.arange(6).std() + np.arange(6).mean()
        before, here, after = np.rint(gray[0, :, 0, 0]).astype(int)
        assert (before, after) == (max(here - 1, 0), min(here + 1, 5))
        np.testing.assert_allclose(gray[0], gray[1], atol=1e-4)  # each channel is standardized by itself
        assert (item["target"] == 2).all() == (here == 1)
        seen.add(here)
    assert seen == set(range(6))


def test_foreground_fraction_draws_classes_evenly_and_reaches_the_rare_one():
    """Class 1 is a single voxel, class 2 a whole slice: by volume 1 : 80, by our draw 1 : 1."""
    prepared = prepare(coordinates(), ZScore(), find_foreground=True)
    anywhere = PatchDataset([prepared], Sampling((1, 2, 2)), Augment())
    centered = PatchDataset([prepared], Sampling((1, 2, 2), foreground_fraction=1.0), Augment())
    rare = [[int((d[0, i]["target"] == 1).any()) for i in range(200)] for d in (anywhere, centered)]
    assert np.mean(rare[0]) < 0.1
    assert 0.4 < np.mean(rare[1]) < 0.6
    assert all((centered[0, i]["target"] > 0).any() for i in range(200))


def test_volumes_are_cut_alike():
    item = PatchDataset(cases(1, (8, 20, 20)), Sampling((4, 16, 16)), Augment([GridElastic(sigma=1)]))[0, 0]
    assert item["image"].shape == (1, 4, 16, 16)
    assert item["target"].shape == (4, 16, 16)


def test_weight_map_travels_with_the_patch():
    made = [prepare(p.case, ZScore(), lambda mask: mask.astype(np.float32) * 3) for p in cases()]
    item = PatchDataset(made, Sampling((16, 16)), Augment([GridElastic(sigma=3)]))[0, 5]
    assert torch.equal(item["weight"], item["target"].float() * 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((12, 5, 0, 2), "data.sampling.batch_size=5 is the batch over all 2"),
        ((3, 4), "must be at least data.sampling.batch_size=4"),
    ],
)
def test_sampler_refuses_what_cannot_be_dealt_out(arguments, words):
    with pytest.raises(ValueError, match=words):
        PatchSampler(*arguments)


@pytest.mark.parametrize("shape", [(5, 7), (1, 4), (3, 4, 5)])
def test_crop_equals_numpy_pad(shape):
    array = np.random.default_rng(0).random((2, *shape))
    padded = np.pad(array, [(0, 0), *[(20, 20)] * len(shape)], mode="reflect")
    rng = np.random.default_rng(1)
    for _ in range(20):
        begin, size = rng.integers(-9, 6, len(shape)), rng.integers(1, 14, len(shape))
        wanted = padded[(slice(None), *(slice(b + 20, b + 20 + p) for b, p in zip(begin, size, strict=True)))]
        np.testing.assert_array_equal(crop(array, list(begin), list(size)), wanted)


def test_numbers_of_objects_are_those_of_the_original_case_and_come_with_whole_cases_alone():
    original = replace(coordinates(), instances=np.arange(480, dtype=np.int32).reshape(6, 8, 10))
    original.instances.flags.writeable = False
    fine = resample(replace(original, spacing_unit="mm"), (0.5, 1.0, 1.0))
    prepared = prepare(fine, ZScore(), original=original)
    (item,) = DataLoader(CaseDataset([prepared]))
    assert item["instances"].dtype == torch.int32
    np.testing.assert_array_equal(item["instances"][0], original.instances)
    assert "instances" not in CaseDataset(cases(1))[0]
    assert set(PatchDataset([prepared], Sampling((4, 4)), Augment())[0, 0]) == {"image", "target"}
