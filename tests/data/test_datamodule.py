from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from segexp.build import build_data
from segexp.config import compose, config_dir, plain
from segexp.data import Case, DataModule, Entry
from segexp.data.cache import CaseCache
from segexp.data.description import RuleSettings
from segexp.data.intensity import N4, PercentileClip, TrainingStatistics, ZScore
from segexp.data.intensity.rules import IntensityRule
from segexp.data.intensity.scaling import Intensity
from segexp.data.sources import Folder, Synthetic
from tests.data.made import data_module


def module(**changes) -> DataModule:
    settings = {
        "source": Synthetic(size=(48, 48), count=10),
        "channels": 1,
        "num_classes": 2,
        "spatial_dims": 2,
        "class_names": ["interior", "membrane"],
        "patch_size": [32, 32],
        "patches_per_epoch": 8,
        "batch_size": 4,
        "val": 0.2,
        "test": 0.2,
        "num_workers": 0,
    }
    return data_module(**(settings | changes))


def ready(**changes) -> DataModule:
    data = module(**changes)
    data.prepare_data()
    data.setup()
    return data


class Numbered(Synthetic):
    """Cells that touch, with pixels of 1 mm, or slabs of them."""

    def __init__(self, size=(48, 48)):
        super().__init__(size, count=10)

    def read(self, name):
        case = super().read(name)
        cells = np.indices(self.size)[-1] // 8 + 1  # columns
        numbers = np.where(case.target == 1, cells, 0).astype(np.int32)
        return replace(case, instances=numbers, spacing_unit="mm")


def test_numbers_of_objects_reach_scoring_in_the_geometry_of_the_case():
    data = ready(source=Numbered(), spacing=[0.5, 0.5])
    for batch in data.test_dataloader():
        assert batch["image"].shape == (1, 1, 96, 96)
        np.testing.assert_array_equal(batch["instances"][0], data.source.read(batch["name"][0]).instances)
    assert "instances" not in next(iter(data.train_dataloader()))
    data = ready(source=Numbered((16, 32, 40)), slice_axis=2, patch_size=[16, 32])
    (batch, *_) = data.val_dataloader()
    wanted = data.source.read(batch["name"][0]).instances
    np.testing.assert_array_equal(batch["instances"][0], np.moveaxis(wanted, 2, 0))


def test_other_numbers_of_objects_are_other_data():
    class Swapped(Numbered):
        def read(self, name):
            case = super().read(name)
            return replace(case, instances=case.instances[:, ::-1].copy())

    assert len({ready(source=source).fingerprint() for source in (Numbered(), Numbered(), Swapped())}) == 2


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
        channels=2,
        num_classes=3,
        spatial_dims=3,
        class_names=["interior", "membrane", "organelle"],
        patch_size=[8, 16, 16],
    )
    batch = next(iter(data.train_dataloader()))
    assert tuple(batch["image"].shape) == (4, 2, 8, 16, 16)
    assert set(np.unique(batch["target"])) <= {0, 1, 2}


def test_cases_of_another_shape_are_refused_with_their_name():
    with pytest.raises(ValueError, match=r"has shape \(2, 48, 48\).*data.channels=1"):
        ready(source=Synthetic(size=(48, 48), count=10, channels=2))


class Volumes:
    """Anisotropic volumes with a field of view, made from the synthetic ones."""

    def __init__(self, count: int = 6, broken: tuple[int, ...] = ()) -> None:
        self.count, self.broken = count, broken
        self._cells = Synthetic(size=(16, 24, 20), count=count)

    def prepare(self) -> None:
        pass

    def entries(self) -> list[Entry]:
        return [Entry(entry.name) for entry in self._cells.entries()]

    def read(self, name: str) -> Case:
        if int(name[-1]) in self.broken:
            raise ValueError(f"{name}.nii cannot be read")
        case = self._cells.read(name)
        valid = np.ones(case.target.shape, bool)
        valid[:, :3] = False
        others = {"second": 1 - case.target}
        return replace(case, spacing=(4.0, 1.0, 1.0), spacing_unit="mm", valid=valid, others=others)


SLICED = {"source": Volumes(), "patch_size": [16, 16]}


def test_volumes_slice_by_slice_with_context():
    data = ready(**SLICED, context=1)
    batch = next(iter(data.train_dataloader()))
    assert tuple(batch["image"].shape) == (4, 3, 16, 16)
    assert tuple(batch["target"].shape) == (4, 16, 16)
    whole = next(iter(data.val_dataloader()))
    assert tuple(whole["image"].shape) == (1, 1, 16, 24, 20)
    assert tuple(whole["target"].shape) == (1, 16, 24, 20)


@pytest.mark.parametrize(("axis", "shape"), [(1, (24, 16, 20)), (2, (20, 16, 24))])
def test_slices_along_another_axis(axis, shape):
    data = ready(**SLICED, slice_axis=axis)
    case = data.cases("train")[0].case
    assert case.target.shape == case.valid.shape == case.others["second"].shape == shape
    assert case.spacing == ((1.0, 4.0, 1.0))
    raw = Volumes().read(case.name)
    np.testing.assert_array_equal(case.image[0], np.moveaxis(raw.image[0], axis, 0))


def test_cases_are_resampled_for_the_network_and_scored_as_they_are():
    data = ready(**SLICED, spacing=[2.0, 2.0, 2.0])
    prepared = data.cases("val")[0]
    assert prepared.case.image.shape == (1, 32, 12, 10)
    whole = next(iter(data.val_dataloader()))
    assert tuple(whole["image"].shape) == (1, 1, 32, 12, 10)
    assert tuple(whole["target"].shape) == (1, 16, 24, 20)
    assert ready(**SLICED, spacing="median").description().spacing == [4.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="data.geometry.spacing='auto' must be one size per axis, median or null"):
        ready(**SLICED, spacing="auto")


def test_cases_are_corrected_once_and_scored_as_they_are(tmp_path, monkeypatch):
    changes = {**SLICED, "spacing": [2.0, 2.0, 2.0]}
    corrected = {**changes, "intensity": N4(shrink=1, iterations=[5]), "cache": CaseCache(tmp_path)}
    plain, data = ready(**changes).cases("val")[0], ready(**corrected)
    found = data.cases("val")[0]
    np.testing.assert_array_equal(found.case.image, corrected["intensity"].correct(plain.case).image)
    np.testing.assert_array_equal(found.original.image, plain.original.image)
    assert data.fingerprint() == ready(**SLICED).fingerprint()
    np.testing.assert_array_equal(data.made_ready(data.read_cases("val")[0]).case.image, found.case.image)
    monkeypatch.setattr(N4, "correct", lambda self, case: pytest.fail(f"{case.name} was corrected again"))
    np.testing.assert_array_equal(ready(**corrected).cases("val")[0].case.image, found.case.image)


def test_pixels_outside_the_field_of_view_are_not_labeled():
    case = ready(**SLICED).cases("test")[0].original
    for labels in (case.target, case.others["second"]):
        assert (labels[:, :3] == 255).all()
        assert (labels[:, 3:] < 2).all()


def test_every_broken_case_is_named_at_once():
    with pytest.raises(ValueError, match=r"audit of 6 cases found 2 errors:\ncells_0001.nii .*\ncells_0004.nii"):
        ready(**SLICED | {"source": Volumes(broken=(1, 4))})


def test_decoded_cases_come_from_the_cache(tmp_path, monkeypatch):
    first = ready(**SLICED, cache=CaseCache(tmp_path / "cache"))
    monkeypatch.setattr(Volumes, "read", lambda self, name: pytest.fail(f"{name} was decoded again"))
    again = ready(**SLICED, cache=CaseCache(tmp_path / "cache"))
    monkeypatch.undo()
    assert again.fingerprint() == first.fingerprint() == ready(**SLICED).fingerprint()
    one, two = (next(iter(data.train_dataloader())) for data in (first, again))
    np.testing.assert_array_equal(one["image"], two["image"])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"source": Numbered(), "spacing": [2.0, 2.0]},
        {"source": Numbered((16, 32, 40)), "slice_axis": 2, "intensity": TrainingStatistics()},
    ],
)
def test_a_second_start_measures_nothing_again(tmp_path, monkeypatch, changes):
    changes = {"patch_size": [16, 32] if "slice_axis" in changes else [32, 32]} | changes
    first = ready(**changes, cache=CaseCache(tmp_path))

    def refuse(*_):
        raise AssertionError("it is measured again")

    for name in ("content_of", "intensity_of_case", "levels_of"):
        monkeypatch.setattr(f"segexp.data.datamodule.{name}", refuse)
    second = ready(**changes, cache=CaseCache(tmp_path))
    assert second.report == first.report
    assert [one.thumbnail.tolist() for one in second.report.measures] == [
        one.thumbnail.tolist() for one in first.report.measures
    ]
    assert second.description() == first.description()
    for one, other in zip(second.cases("train"), first.cases("train"), strict=True):
        for name, array in vars(one.intensity).items():
            assert array.dtype == getattr(other.intensity, name).dtype
            np.testing.assert_array_equal(array, getattr(other.intensity, name))


class Squared(Intensity):
    """Maps of another kind, with a method of their own."""

    def to_unit(self, image: np.ndarray) -> np.ndarray:
        return super().to_unit(image) ** 2


class Hidden(IntensityRule):
    """A rule of a user's own, which knows more than it describes."""

    def __init__(self, factor: float, corrects: bool) -> None:
        self._factor, self._corrects = factor, corrects

    @property
    def corrects(self) -> bool:
        return self._corrects

    def of(self, image: np.ndarray, valid: np.ndarray | None = None) -> Intensity:
        plain = ZScore().of(image, valid)
        return Squared(plain.low, plain.high * self._factor, plain.mean, plain.std)

    def correct(self, case: Case) -> Case:
        return replace(case, image=case.image * self._factor)

    def description(self) -> RuleSettings:
        return {"rule": "Hidden"}


@pytest.mark.parametrize("corrects", [True, False])
def test_what_a_rule_of_a_users_own_does_is_not_kept(tmp_path, corrects):
    for factor in (1.0, 3.0):
        found = ready(intensity=Hidden(factor, corrects), cache=CaseCache(tmp_path)).cases("train")
        fresh = ready(intensity=Hidden(factor, corrects)).cases("train")
        for one, other in zip(found, fresh, strict=True):
            units = [each.intensity.to_unit(each.case.image) for each in (one, other)]
            np.testing.assert_array_equal(*units)
            assert one.intensity.high == other.intensity.high


def test_a_case_has_the_name_of_its_entry_whatever_its_source_calls_it(tmp_path, monkeypatch):
    read = Synthetic.read
    monkeypatch.setattr(Synthetic, "read", lambda self, name: replace(read(self, name), name="case"))
    data = ready(cache=CaseCache(tmp_path))
    assert [one.case.name for one in data.cases("train")] == list(data.split.train)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"intensity": PercentileClip()}),
        ({"intensity": PercentileClip(1, 99)}, {"intensity": PercentileClip(2, 98)}),
        ({"intensity": TrainingStatistics()}, {"intensity": TrainingStatistics(), "fold": 1}),
        ({"source": Numbered()}, {"source": Numbered(), "spacing": [2.0, 2.0]}),
    ],
)
def test_what_other_settings_measure_is_not_taken(tmp_path, before, after):
    ready(**before, cache=CaseCache(tmp_path))
    found, fresh = ready(**after, cache=CaseCache(tmp_path)), ready(**after)
    for one, other in zip(found.cases("train"), fresh.cases("train"), strict=True):
        assert one.case.name == other.case.name
        for name, array in vars(one.intensity).items():
            np.testing.assert_array_equal(array, getattr(other.intensity, name))
    assert found.description() == fresh.description()


def test_description_tells_the_value_of_each_class_in_the_masks(tmp_path):
    folder = {"source": Folder(tmp_path, tmp_path, values={7: 1, 0: 0, 3: 1}, mask_suffix="_mask")}
    assert module(**folder).description().label_values == [0, 3]
    assert module().description().label_values == [0, 1]


class Drawn(pl.LightningModule):
    """Keeps the batches of each epoch."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.batches = []

    def training_step(self, batch, _):
        self.batches.append(batch["image"].clone())
        return self.layer.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_every_epoch_of_a_training_draws_its_own_patches_whatever_the_workers(tmp_path):
    drawn = []
    for workers in (0, 2):
        learner = Drawn()
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=3,
            default_root_dir=tmp_path,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(learner, ready(num_workers=workers).train_dataloader())
        drawn.append(torch.stack(learner.batches))
    assert torch.equal(*drawn)
    patches = drawn[0].flatten(end_dim=1)
    assert len(patches) == 3 * 8
    assert len({tuple(patch.flatten().tolist()) for patch in patches}) == 3 * 8


OF_THE_USER = ("folder", "manifest", "msd", "nnunet", "nnunet_2d", "torch_dataset")  # their folder is a mandatory key
WITHOUT_FILES = ("datamodule", "synthetic", "mni152")  # drawn, or inside of a package
PUBLIC = sorted({path.stem for path in (config_dir() / "data").glob("*.yaml")} - {*OF_THE_USER, *WITHOUT_FILES})


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_set_that_is_missing_says_where_to_get_it_its_terms_and_where_to_put_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGEXP_DATA_DIR", str(tmp_path))
    off = ["data.source.download=false"] if name == "isbi" else []
    words = ["name=test", f"data={name}", "data.origin.download=null", *off]
    config = plain(compose(words, run_dir=tmp_path / "run"))
    origin = config["data"]["origin"]
    assert origin["url"].startswith("http")
    with pytest.raises(FileNotFoundError) as caught:
        build_data(config).prepare_data()
    said = str(caught.value)
    for part in (origin["url"], f"(terms: {origin['terms']})", f"put it into {origin['folder']}", "SEGEXP_DATA_DIR"):
        assert part in said
    assert origin["folder"].startswith(str(tmp_path))
    assert "\n" not in said
    assert len(said) < 900


def test_data_of_the_user_say_what_is_missing_alone(tmp_path):
    with pytest.raises(FileNotFoundError, match="images is not a folder: check the path$"):
        module(source=Folder(tmp_path / "images", tmp_path / "masks")).prepare_data()
