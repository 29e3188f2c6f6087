"""``segexp predict`` on real runs: what it leaves is what validation saw, and lies where its source lies."""

import csv
import json
import os
import re
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import slicerio
import tifffile
import torch
from PIL import Image

from segexp.checkpoints.checkpoint import Model, open_model
from segexp.commands.evaluate import evaluate
from segexp.commands.export import export
from segexp.commands.predict import predict
from segexp.commands.predicting import leave_labels
from segexp.commands.train import train
from segexp.config import compose
from segexp.data import Case
from segexp.data.sources import Chase, Synthetic
from segexp.data.sources.chase import NAMES, OBSERVERS
from segexp.inference.quality import CaseQuality
from segexp.models import UNet
from segexp.prediction import Segmenter, Settings, open_models, segment
from tests.conftest import SMALL, modes
from tests.data.files.test_volumes import DIRECTIONS
from tests.safety.corpus import model_description

QUICK = [
    *("name=test", "trainer=cpu", "trainer.precision=32-true", "trainer.max_epochs=1"),
    *("callbacks.progress.enabled=false", "logger=none"),
]
VOLUMES = [  # what follows stands in files, so that training and prediction read the same
    *QUICK,
    *(
        "data=folder",
        "data.sampling.batch_size=2",
        "data.sampling.patches_per_epoch=24",
        "model.base_channels=4",
        "model.depth=2",
    ),
    *(
        "data.source.values={0: 0, 7: 1, 40: 2}",
        "data.labels.num_classes=3",
        "data.labels.class_names=[ground, membrane, dark]",
    ),
    *("data.split.val=2", "data.split.test=1", "data.sampling.foreground_fraction=0.7", "optimizer.lr=0.01"),
]


def trained(folder: Path, *words: str) -> Path:
    train(compose(list(words), run_dir=folder))
    return folder


def left(folder: Path) -> list[Path]:
    """What a prediction left beside its record and the names of labels."""
    return sorted(path for path in folder.iterdir() if path.name not in ("predicted.json", "labels.txt"))


def dice(pred: np.ndarray, truth: np.ndarray) -> float:
    return 2 * (pred & truth).sum() / (pred.sum() + truth.sum())


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "cases.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def flat(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("flat"), *QUICK, *SMALL)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """The cases that the flat run has not learnt from, as PNG and TIFF."""
    folder, source = tmp_path_factory.mktemp("images"), Synthetic((48, 48), 9)
    for index in range(3, 9):
        pixels = source.read(f"cells_{index:04d}").image[0]
        if index % 2:
            Image.fromarray(pixels).save(folder / f"cells_{index:04d}.png")
        else:
            tifffile.imwrite(folder / f"cells_{index:04d}.tif", pixels)
    return folder


@pytest.fixture(scope="module")
def volumes(tmp_path_factory) -> Path:
    """Five volumes in four orientations and two spacings, with their labels 0, 7 and 40."""
    folder = tmp_path_factory.mktemp("volumes")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for index in range(5):
        case = Synthetic((20, 24, 28), 5, num_classes=3).read(f"cells_{index:04d}")
        affine = np.eye(4)
        affine[:3, :3] = list(DIRECTIONS.values())[index % 4] * [1.0, 1.5, 2.0 + index % 2]
        affine[:3, 3] = 5, -6, 7
        labels = np.array([0, 7, 40], np.uint8)[case.target]
        nib.save(nib.Nifti1Image(case.image[0], affine), folder / "images" / f"v{index}.nii.gz")
        nib.save(nib.Nifti1Image(labels, affine), folder / "masks" / f"v{index}.nii.gz")
    return folder


KINDS = {
    "3-D, resampled": [
        "model=unet_3d",
        "data.geometry.spatial_dims=3",
        "data.sampling.patch_size=[8,16,16]",
        "data.geometry.spacing=[2.0,1.2,2]",
    ],
    "2.5-D, sagittal": ["data.sampling.patch_size=[16,16]", "data.geometry.slice_axis=2", "data.geometry.context=1"],
}


@pytest.fixture(scope="module", params=KINDS)
def volume_run(request, tmp_path_factory, volumes) -> Path:
    words = [f"data.source.{kind}={volumes / kind}" for kind in ("images", "masks")]
    folder = tmp_path_factory.mktemp("volume_run")
    return trained(folder, *VOLUMES, *words, *KINDS[request.param], "data.sampling.mirror_margin=auto")


def test_masks_have_the_mode_that_umask_gives(flat, images, tmp_path, umask):
    predict([f"run={flat}", f"input={images}", f"output={tmp_path}"])
    assert set(modes(tmp_path).values()) == {0o640}


def test_labels_of_held_out_images_give_the_scores_of_the_run(flat, images, tmp_path, capsys):
    predict([f"run={flat}", f"input={images}", f"output={tmp_path}"])
    assert capsys.readouterr().out.startswith("6 predicted; masks in")
    assert [path.name for path in left(tmp_path)] == sorted(path.name for path in images.iterdir())
    scored = rows(flat)
    assert len(scored) == 6
    assert any(0 < float(row["dice"]) < 1 for row in scored)
    for row in scored:
        (path,) = tmp_path.glob(f"{row['case']}.*")
        mask = np.asarray(Image.open(path))
        truth = Synthetic((48, 48), 9).read(row["case"]).target
        assert mask.dtype == np.uint8
        assert dice(mask == 1, truth == 1) == pytest.approx(float(row["dice"]), abs=1e-6)


def test_labels_of_held_out_volumes_give_the_scores_of_the_run(volume_run, volumes, tmp_path):
    predict([f"run={volume_run}", f"input={volumes / 'images'}", f"output={tmp_path}"])
    scored = [row for row in rows(volume_run) if row["dice"] != "nan"]
    assert {row["class"] for row in scored} == {"membrane", "dark"}
    assert any(0 < float(row["dice"]) < 1 for row in scored)
    for row in scored:
        mask, truth = (nib.load(folder / f"{row['case']}.nii.gz") for folder in (tmp_path, volumes / "masks"))
        assert np.array_equal(mask.affine, truth.affine)
        value = {"membrane": 7, "dark": 40}[row["class"]]
        found = dice(np.asanyarray(mask.dataobj) == value, np.asanyarray(truth.dataobj) == value)
        assert found == pytest.approx(float(row["dice"]), abs=1e-6)


def test_a_field_of_view_counts_as_in_training_and_nothing_lies_beyond_it(tmp_path):
    """Photographs with a dark surround of another size each; their scores would be others with it counted."""
    photos = tmp_path / "photos"
    photos.mkdir()
    rows_down, columns = np.ogrid[:64, :64]
    for index, name in enumerate(NAMES):
        case = Synthetic((64, 64), 28).read(f"cells_{index:04d}")
        seen = (rows_down - 32) ** 2 + (columns - 32) ** 2 < (14 + index % 8 * 2) ** 2
        photo = np.where(seen, 60 + case.image[0] // 2, 0).astype(np.uint8)
        Image.fromarray(np.stack([photo] * 3, -1)).save(photos / f"Image_{name}.jpg", quality=100, subsampling=0)
        for observer in OBSERVERS:
            Image.fromarray(case.target == 1).save(photos / f"Image_{name}_{observer}.png")
    words = ["data=chase", f"data.source.root={photos}", "data.sampling.patch_size=[32,32]", "model.base_channels=4"]
    run = trained(
        tmp_path / "run", *QUICK, *words, "model.depth=2", "data.sampling.patches_per_epoch=320", "optimizer.lr=0.01"
    )
    words = ["probabilities=true", "uncertainty=true"]
    predict([f"run={run}", f"input={photos}/*.jpg", f"output={tmp_path / 'out'}", *words])
    scored = rows(run)
    assert any(0 < float(row["dice"]) < 1 for row in scored)
    for row in scored:
        case = Chase(photos).read(row["case"])
        mask = np.asarray(Image.open(tmp_path / "out" / f"Image_{row['case']}.png")) == 255
        found = dice(mask, (case.target == 1) & case.valid)
        assert found == pytest.approx(float(row["dice"]), abs=1e-6)
        probs, entropy = (
            np.load(tmp_path / "out" / f"Image_{row['case']}_probabilities.npy"),
            tifffile.imread(tmp_path / "out" / f"Image_{row['case']}_entropy.tif"),
        )
        assert np.array_equal(np.unique(probs[:, ~case.valid], axis=1), [[1], [0]])
        assert not entropy[~case.valid].any()
        assert entropy[case.valid].all()


def test_everything_that_can_be_asked_for(volume_run, volumes, tmp_path):
    words = ["probabilities=true", "uncertainty=true", "overlays=true", "tta=flips", "measure=true"]
    predict([f"run={volume_run}", f"input={volumes / 'images' / 'v1.nii.gz'}", f"output={tmp_path}", *words])
    names = {"v1.nii.gz", "v1_probabilities.npy", "v1_entropy.nii.gz", "v1_std.nii.gz", "v1_overlay.png"}
    names.add("v1_objects.csv")
    assert {path.name for path in left(tmp_path)} == names
    source = nib.load(volumes / "images" / "v1.nii.gz")
    mask, entropy, std = (nib.load(tmp_path / f"v1{end}.nii.gz") for end in ("", "_entropy", "_std"))
    probs = np.load(tmp_path / "v1_probabilities.npy")
    assert probs.dtype == np.float16
    assert probs.shape == (3, *source.shape)
    assert np.allclose(probs.astype(float).sum(0), 1, atol=2e-3)
    unsure = np.sort(probs, axis=0)[-1] - np.sort(probs, axis=0)[-2] < 1e-3  # float16 may have rounded them alike
    labels = np.array([0, 7, 40])[probs.argmax(0)]
    assert (np.asanyarray(mask.dataobj) == labels)[~unsure].all()
    precise = np.maximum(probs.astype(float), 1e-7)
    assert np.allclose(entropy.get_fdata(), -(precise * np.log(precise)).sum(0) / np.log(3), atol=5e-3)
    assert 0 < std.get_fdata().max() < 0.5
    with (tmp_path / "v1_objects.csv").open(newline="") as file:
        objects = list(csv.DictReader(file))
    for name, value in (("membrane", 7), ("dark", 40)):
        sizes = [int(row["volume_px"]) for row in objects if row["class"] == name]
        assert sum(sizes) == (np.asanyarray(mask.dataobj) == value).sum()
    for found in (mask, entropy, std):
        assert np.array_equal(found.affine, source.affine)
        assert found.shape == source.shape


def test_names_of_labels_for_itk_snap_are_left_once_and_a_file_of_the_user_stays(tmp_path, capsys):
    path = tmp_path / "labels.txt"
    leave_labels(tmp_path, "", overwrite=True)
    assert not path.exists()
    for overwrite, after in ((False, "mine"), (True, "ours")):
        path.write_text("mine")
        leave_labels(tmp_path, "ours", overwrite)
        assert path.read_text() == after
        assert ("labels.txt is another one, and stays" in capsys.readouterr().err) is not overwrite
    leave_labels(tmp_path, "ours", overwrite=False)
    assert capsys.readouterr().err == ""


def test_an_image_becomes_a_colored_tiff_of_imagej(flat, images, tmp_path):
    words = [f"run={flat}", f"input={images / 'cells_0003.png'}", f"output={tmp_path}"]
    predict([*words, "format=imagej"])
    (path,) = left(tmp_path)
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        assert file.imagej_metadata["Info"].startswith("1 ")
        assert np.array_equal(file.asarray(), segment(open_model(flat), images / "cells_0003.png").labels)
    with pytest.raises(ValueError, match=r"format='imgej' is not one of .* .did you mean 'imagej'"):
        predict([*words, "format=imgej"])


def stack_of(folder: Path, images: Path) -> Path:
    pages = [np.asarray(Image.open(path)) for path in sorted(images.iterdir())]
    tifffile.imwrite(folder / "stack.tif", np.stack(pages), photometric="minisblack")
    return folder / "stack.tif"


def test_a_stack_is_predicted_page_by_page(flat, images, tmp_path):
    stack = stack_of(tmp_path, images)
    predict([f"run={flat}", f"input={stack}", f"output={tmp_path / 'out'}"])
    predict([f"run={flat}", f"input={images}", f"output={tmp_path / 'single'}"])
    found = tifffile.imread(tmp_path / "out" / "stack.tif")
    single = [np.asarray(Image.open(path)) for path in left(tmp_path / "single")]
    assert np.array_equal(found, np.stack(single))
    assert found.max() == 1


def test_python_gives_what_the_command_writes(flat, images, volume_run, volumes, tmp_path):
    model = open_model(flat)
    path = images / "cells_0003.png"
    predict([f"run={flat}", f"input={path}", f"output={tmp_path}"])
    written = np.asarray(Image.open(tmp_path / path.name))
    assert np.array_equal(segment(model, path, device="cpu").labels, written)
    assert np.array_equal(segment([model], np.asarray(Image.open(path))[None]).labels, written)
    path = volumes / "images" / "v2.nii.gz"
    predict([f"run={volume_run}", f"input={path}", f"output={tmp_path}"])
    labels = segment(open_model(volume_run), path).labels
    assert np.array_equal(labels, np.asanyarray(nib.load(tmp_path / "v2.nii.gz").dataobj))
    assert '"membrane"' in (tmp_path / "labels.txt").read_text()
    predict([f"run={volume_run}", f"input={path}", f"output={tmp_path}", "format=seg.nrrd"])
    found = slicerio.read_segmentation(str(tmp_path / "v2.seg.nrrd"))
    assert np.array_equal(found["voxels"], labels)
    assert {one["name"]: one["labelValue"] for one in found["segments"]} == {"membrane": 7, "dark": 40}


def test_an_ensemble_averages_members_under_their_own_intensity_rules(flat, images):
    """The mean of two models predicted one by one, whose networks and rules differ."""
    one = open_model(flat)
    torch.manual_seed(0)
    other = UNet(in_channels=1, num_classes=2, base_channels=6, depth=1).eval()
    window = {"rule": "Window", "low": 0.0, "high": 200.0}
    two = Model(other, replace(one.description, network="UNet", model=other.config, intensity=window))
    path = images / "cells_0004.tif"
    kept = {"probabilities": True, "uncertainty": True}
    both, *each = (segment(models, path, **kept) for models in ([one, two], [one], [two]))
    singly = np.stack([maps.probabilities for maps in each]).astype(float)
    assert np.allclose(both.probabilities, singly.mean(0), atol=2e-3)
    assert np.allclose(both.std, singly.std(0).max(0), atol=2e-3)
    assert both.std.max() > 0.01
    assert each[0].std is None


def test_runs_are_named_with_commas(flat, images, tmp_path):
    shutil.copytree(flat, tmp_path / "one,more")
    assert len(open_models(f"{flat},{flat / 'checkpoints' / 'last.ckpt'}")) == 2
    (model,) = open_models(str(tmp_path / "one,more"))
    assert model.description == open_model(flat).description


def test_models_that_do_not_go_together_are_told(flat, images):
    model = open_model(flat)
    named = replace(model, description=replace(model.description, class_names=["a", "b"]))
    with pytest.raises(ValueError, match=r"model 2 has class_names=\['a', 'b'\] and model 1 has"):
        segment([model, named], images / "cells_0003.png")
    spaced = replace(model, description=replace(model.description, spacing=[1.0, 1.0]))
    with pytest.raises(ValueError, match=r"model 2 works at spacing=\[1.0, 1.0\] and model 1 at None"):
        segment([model, spaced], images / "cells_0003.png")


def test_the_steps_that_a_run_keeps_are_applied_and_go_with_its_package(flat, images, tmp_path):
    """After evaluate tune=true; here everything that is smaller than the image is removed."""
    run = tmp_path / "run"
    shutil.copytree(flat, run)
    (run / "postprocess.json").write_text(json.dumps({"min_size": {"size": 48 * 48 + 1}}))
    export([f"run={run}", f"output={tmp_path / 'net.safetensors'}", "verify=false"])
    for source in (run, tmp_path / "net.safetensors"):
        for word, most in (("true", 0), ("false", 1)):
            folder = tmp_path / f"{source.name}-{word}"
            predict([f"run={source}", f"input={images}", f"output={folder}", f"postprocess={word}"])
            assert max(np.asarray(Image.open(path)).max() for path in left(folder)) == most
    scores = json.loads((tmp_path / "net.safetensors.json").read_text())["scores"]
    assert scores["note"].endswith("; before post-processing")


@pytest.fixture(scope="module")
def of_regions() -> Model:
    """A network of two overlapping regions, with a name that no file may have, as if opened from a run."""
    torch.manual_seed(0)
    network = UNet(in_channels=1, num_classes=2, base_channels=4, depth=1, spatial_dims=3).eval()
    with torch.no_grad():  # logits on both sides of 0
        network.head[0].bias -= network(torch.randn(1, 1, 16, 16, 16)).mean((0, 2, 3, 4))
    return Model(
        network,
        model_description(
            model=network.config,
            class_names=["ground", "rim", "core"],
            label_values=[0, 1, 2],
            regions={"whole": [1, 2], "../co/re": [2]},
            activation="sigmoid",
            spatial_dims=3,
            patch_size=[8, 8, 8],
            intensity={"rule": "ZScore"},
            inference={"tile": 8, "overlap": 0.5, "border": "auto", "blending": "gaussian", "batch_size": 2},
        ),
    )


def test_each_region_has_a_file_inside_the_folder(of_regions, volumes, tmp_path, monkeypatch):
    monkeypatch.setattr("segexp.commands.predicting.open_models", lambda *_: [of_regions])
    words = ["uncertainty=true", "overlays=true", "probabilities=true"]
    path = volumes / "images" / "v3.nii.gz"
    predict([f"run={path}", f"input={path}", f"output={tmp_path / 'out'}", *words])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    names = {path.name for path in left(tmp_path / "out")}
    ends = ("whole.nii.gz", "_co_re.nii.gz", "entropy.nii.gz", "overlay.png", "probabilities.npy")
    assert names == {f"v3_{end}" for end in ends}
    probs = np.load(tmp_path / "out" / "v3_probabilities.npy").astype(float)
    for index, end in enumerate(("whole", "_co_re")):
        mask = np.asanyarray(nib.load(tmp_path / "out" / f"v3_{end}.nii.gz").dataobj)
        sure = np.abs(probs[index] - 0.5) > 1e-3
        assert set(np.unique(mask)) == {0, 1}
        assert np.array_equal(mask[sure], (probs[index] > 0.5)[sure])


def test_a_stack_is_one_volume_to_a_network_of_volumes(of_regions, images, tmp_path, monkeypatch):
    monkeypatch.setattr("segexp.commands.predicting.open_models", lambda *_: [of_regions])
    stack = stack_of(tmp_path, images)
    predict([f"run={stack}", f"input={stack}", f"output={tmp_path / 'out'}"])
    volume = segment(of_regions, tifffile.imread(stack)[None]).labels
    for index, end in enumerate(("whole", "_co_re")):
        mask = tifffile.imread(tmp_path / "out" / f"stack_{end}.tif")
        assert set(np.unique(mask)) == {0, 255}
        assert np.array_equal(mask == 255, volume[index])


def test_large_arrays_lie_in_files_and_come_out_the_same(flat, images, tmp_path, monkeypatch):
    words = [f"run={flat}", f"input={images}", "probabilities=true", "uncertainty=true", "tta=turns"]
    predict([*words, f"output={tmp_path / 'memory'}"])
    monkeypatch.setattr("segexp.prediction.maps.MAPPED", 0)
    predict([*words, f"output={tmp_path / 'mapped'}"])
    for path in left(tmp_path / "memory"):
        assert path.read_bytes() == (tmp_path / "mapped" / path.name).read_bytes()


def test_what_is_done_is_skipped_and_folders_are_kept(flat, images, tmp_path, capsys):
    shutil.copytree(images, tmp_path / "in" / "deep")
    words = [f"run={flat}", f"input={tmp_path / 'in' / '**' / '*.png'}", f"output={tmp_path / 'out'}"]
    predict(words)
    done = {path: path.stat().st_mtime_ns for path in left(tmp_path / "out" / "deep")}
    assert len(done) == 3
    next(iter(done)).unlink()
    capsys.readouterr()
    predict(words)
    assert capsys.readouterr().out.startswith("1 predicted, 2 already there (overwrite=true predicts them again)")
    assert sum(path.stat().st_mtime_ns == before for path, before in done.items()) == 2
    predict([*words, "overwrite=true"])
    assert not any(path.stat().st_mtime_ns == before for path, before in done.items())


def changed_input(folder: Path, run: Path) -> tuple[list[str], str]:
    path = folder / "in" / "cells_0003.png"
    Image.fromarray(np.asarray(Image.open(path))[::-1].copy()).save(path)
    return [f"run={run}"], "its input has changed since"


def another_model(folder: Path, run: Path) -> tuple[list[str], str]:
    return [f"run={run / 'checkpoints' / 'other.ckpt'}"], "it was predicted by another model"


def other_settings(folder: Path, run: Path) -> tuple[list[str], str]:
    return [f"run={run}", "tta=flips"], "it was predicted with other settings (tta=none, now flips)"


def changed_mask(folder: Path, run: Path) -> tuple[list[str], str]:
    Image.new("L", (48, 48), 1).save(folder / "out" / "cells_0003.png")
    return [f"run={run}"], "cells_0003.png was changed since it was written"


def no_record(folder: Path, run: Path) -> tuple[list[str], str]:
    (folder / "out" / "predicted.json").unlink()
    return [f"run={run}"], "predicted.json does not tell what made it"


@pytest.mark.parametrize("change", [changed_input, another_model, other_settings, changed_mask, no_record])
def test_what_was_made_otherwise_is_never_taken_for_done(flat, images, tmp_path, capsys, change):
    run = tmp_path / "run"
    shutil.copytree(flat, run)
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    name, weights = next((key, value) for key, value in checkpoint["state_dict"].items() if key.startswith("network."))
    checkpoint["state_dict"][name] = weights * 2
    torch.save(checkpoint, run / "checkpoints" / "other.ckpt")
    (tmp_path / "in").mkdir()
    shutil.copy(images / "cells_0003.png", tmp_path / "in")
    more = [f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}"]
    mask = tmp_path / "out" / "cells_0003.png"
    predict([f"run={run}", *more])
    words, reason = change(tmp_path, run)
    before = mask.read_bytes()
    with pytest.raises(SystemExit):
        predict([*words, *more])
    assert f"{mask} is there, but {reason}: overwrite=true predicts it again" in capsys.readouterr().err
    assert mask.read_bytes() == before
    predict([*words, *more, "overwrite=true"])
    assert f"predicted again, since {reason}: cells_0003" in capsys.readouterr().err
    predict([*words, *more])
    assert capsys.readouterr().out.startswith("0 predicted, 1 already there")


def test_the_same_model_from_another_file_and_more_outputs_are_the_same(flat, images, tmp_path, capsys):
    export([f"run={flat}", f"output={tmp_path / 'net.safetensors'}", "verify=false"])
    words = [f"input={images}", f"output={tmp_path / 'out'}"]
    predict([f"run={flat}", *words, "batch_size=1"])
    before = {path: path.read_bytes() for path in left(tmp_path / "out")}
    capsys.readouterr()
    predict([f"run={tmp_path / 'net.safetensors'}", *words])
    assert capsys.readouterr().out.startswith("0 predicted, 6 already there")
    predict([f"run={flat}", *words, "uncertainty=true"])
    assert capsys.readouterr().out.startswith("6 predicted; ")
    assert {path: path.read_bytes() for path in left(tmp_path / "out") if path in before} == before


def test_a_pattern_that_reaches_into_the_output_folder_finds_its_inputs_alone(flat, images, tmp_path, capsys):
    shutil.copytree(images, tmp_path / "in")
    words = [f"run={flat}", f"input={tmp_path / 'in' / '**' / '*'}", f"output={tmp_path / 'in' / 'out'}"]
    predict(words)
    capsys.readouterr()
    predict(words)
    assert capsys.readouterr().out.startswith("0 predicted, 6 already there")


def test_a_record_that_cannot_be_read_is_told(flat, images, tmp_path):
    (tmp_path / "predicted.json").mkdir()
    with pytest.raises(ValueError, match=r"predicted\.json cannot be read .*; remove it"):
        predict([f"run={flat}", f"input={images}", f"output={tmp_path}"])
    (tmp_path / "predicted.json").rmdir()
    for content in ("{", '{"how": {}, "inputs": {"a": 1}}'):
        (tmp_path / "predicted.json").write_text(content)
        with pytest.raises(ValueError, match=r"predicted\.json.*; remove it, and predict again with overwrite=true"):
            predict([f"run={flat}", f"input={images}", f"output={tmp_path}"])


AS_THEY_ARE = {
    "window": ["data/intensity=window", "data.intensity.low=0", "data.intensity.high=255"],
    "training": ["data/intensity=training"],
}


@pytest.fixture(scope="module", params=AS_THEY_ARE)
def windowed(request, tmp_path_factory) -> Path:
    """A run whose intensities are taken as they are."""
    words = AS_THEY_ARE[request.param]
    return trained(tmp_path_factory.mktemp("windowed"), *QUICK, *SMALL, *words)


@pytest.mark.parametrize("scale", [1, 255])
def test_inputs_far_from_the_training_are_told_and_strict_refuses_them(windowed, images, tmp_path, capsys, scale):
    (tmp_path / "in").mkdir()
    for path in images.iterdir():
        pixels = np.asarray(Image.open(path)) / np.float32(scale)
        tifffile.imwrite(tmp_path / "in" / f"{path.stem}.tif", pixels)
    words = [f"run={windowed}", f"input={tmp_path / 'in'}"]
    predict([*words, f"output={tmp_path / 'out'}"])
    said = capsys.readouterr().err
    strict = [*words, f"output={tmp_path / 'strict'}", "strict=true"]
    if scale == 1:
        assert "warning" not in said
        predict(strict)
        return
    assert re.search(
        r"warning, intensities not as in training: .*cells_0003\.tif: intensities lie from 0\.\d+ to ", said
    )
    assert "; so is it with " in said
    assert "cells_0008.tif" in said
    with pytest.raises(SystemExit):
        predict(strict)
    printed = capsys.readouterr()
    assert printed.out.startswith("0 predicted, 6 failed")
    assert printed.err.count("(strict=false predicts it all the same)") == 6
    assert not (tmp_path / "strict").exists()


def test_python_warns_in_its_log(windowed, caplog):
    segment(open_model(windowed), np.random.default_rng(0).random((1, 48, 48), np.float32))
    assert "the array: intensities lie from 0.00" in caplog.text
    with pytest.raises(ValueError, match="strict=false predicts it all the same"):
        segment(open_model(windowed), np.random.default_rng(0).random((1, 48, 48), np.float32), strict=True)


def test_a_damaged_mask_is_predicted_again(flat, images, tmp_path, capsys):
    words = [f"run={flat}", f"input={images}", f"output={tmp_path}"]
    predict(words)
    whole = {path: path.read_bytes() for path in left(tmp_path)}
    flipped, cut, empty = sorted(whole)[:3]
    place = len(whole[flipped]) // 2
    flipped.write_bytes(whole[flipped][:place] + bytes([whole[flipped][place] ^ 1]) + whole[flipped][place + 1 :])
    cut.write_bytes(whole[cut][:-1])
    empty.write_bytes(b"")
    capsys.readouterr()
    predict(words)
    printed = capsys.readouterr()
    assert printed.out.startswith("3 predicted")
    assert printed.err.count("is damaged: it is predicted again") == 3
    assert {path: path.read_bytes() for path in left(tmp_path)} == whole


def test_a_bad_file_costs_only_itself(flat, images, tmp_path, capsys):
    shutil.copytree(images, tmp_path / "in")
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"no volume")
    pixels = np.full((8, 8), np.nan, np.float32)
    tifffile.imwrite(tmp_path / "in" / "nan.tif", pixels)
    with pytest.raises(SystemExit) as stop:
        predict([f"run={flat}", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}"])
    assert stop.value.code == 1
    said = capsys.readouterr()
    assert said.out.startswith("6 predicted, 2 failed")
    lines = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert "bad.nii.gz cannot be read" in lines[0]
    assert "nan.tif: the image holds values that are not finite" in lines[1]
    assert len(left(tmp_path / "out")) == 6


def test_inputs_are_never_overwritten(flat, images):
    before = {path: path.read_bytes() for path in images.iterdir()}
    with pytest.raises(ValueError, match=r"would overwrite the input .*cells_0003\.png"):
        predict([f"run={flat}", f"input={images}", f"output={images}", "overwrite=true"])
    assert {path: path.read_bytes() for path in images.iterdir()} == before


def test_two_inputs_for_one_mask_and_ways_out_of_the_folder_are_refused(flat, images, tmp_path, monkeypatch):
    shutil.copytree(images, tmp_path / "in" / "a")
    monkeypatch.chdir(tmp_path / "in" / "a")
    Path("sub").mkdir()
    with pytest.raises(ValueError, match="outside output="):
        predict([f"run={flat}", "input=*/../../a/cells_0003.png", f"output={tmp_path / 'out'}"])
    for name in ("x.png", "x_overlay.png"):
        shutil.copy("cells_0003.png", name)
    with pytest.raises(ValueError, match=r"x.*\.png would both become x_overlay\.png"):
        predict([f"run={flat}", "input=x*.png", f"output={tmp_path / 'out'}", "overlays=true"])


@pytest.mark.parametrize(
    ("change", "array", "message"),
    [
        ({}, (3, 16, 16), "the array has 3 channels, the network takes 1"),
        ({"spatial_dims": 3}, (1, 16, 16), "is a flat image, but the network takes volumes"),
        ({"context": 1}, (1, 16, 16), "slices with 1 neighbors on each side"),
        ({"spacing": [1.0, 1.0]}, (1, 16, 16), r"give spacing=\[..\]"),
        ({"label_values": [0, 0.5]}, (1, 16, 16), "must be integers"),
    ],
)
def test_what_does_not_go_with_the_network_is_told(flat, change, array, message):
    model = open_model(flat)
    with pytest.raises(ValueError, match=message):
        segment(replace(model, description=replace(model.description, **change)), np.zeros(array, np.uint8))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tta=flip", "did you mean 'flips'"),
        ("tta=transpose,flipx", "tta='flipx' is not one of .*did you mean 'flip_x'"),
        ("device=tpu7", "device=tpu7 cannot be used here"),
        ("tile=half", r"tile='half' is not one of \['whole'\]"),
        ("overlap=1.5", "overlap=1.5 must be a number of at least 0 and below 1"),
        ("batch_size=0", "batch_size=0 must be an integer of at least 1"),
    ],
)
def test_settings_are_checked_before_anything_is_read(flat, images, tmp_path, word, message):
    with pytest.raises(ValueError, match=message):
        predict([f"run={flat}", f"input={images}", f"output={tmp_path / 'out'}", word])
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_told_before_the_prediction(flat, images, tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(SystemExit):
        predict([f"run={flat}", f"input={images}", f"output={tmp_path / 'out'}"])
    assert "where 0.0 MB are free: make room" in capsys.readouterr().err
    assert left(tmp_path / "out") == []


def test_what_is_kept_in_files_beside_the_maps_is_counted(flat):
    """Overlaps of a row of tiles: two classes and the weights, at most a tile high; resampled, also probabilities."""
    wide = Case("wide", np.broadcast_to(np.uint8(0), (1, 64, 1 << 20)), None, (2.0, 2.0), "mm")
    model = open_model(flat)
    assert Segmenter([model], Settings(tile=32)).scratch(wide) == 4 * 3 * 32 << 20
    assert Segmenter([model], Settings(tile=16)).scratch(wide) == 0  # small enough for memory
    spaced = replace(model, description=replace(model.description, spacing=[1.0, 1.0]))
    probabilities = 4 * 2 * 64 << 20
    found = Segmenter([spaced], Settings(tile=32)).scratch(wide)
    assert found == 2 * (4 * 3 * 32 << 20) + 4 * probabilities + probabilities


def test_ctrl_c_leaves_only_whole_files(flat, images, tmp_path):
    """Large images, stopped by a signal while the second one is on its way."""
    large = np.tile(np.asarray(Image.open(images / "cells_0003.png")), (12, 12))
    for index in range(8):
        tifffile.imwrite(tmp_path / f"{index}.tif", large)
    out = tmp_path / "out"

    def stop() -> None:
        while not (out / "0.tif").exists() or not any(out.glob(".part-*")):
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        predict([f"run={flat}", f"input={tmp_path / '*.tif'}", f"output={out}", "device=cpu"])
    masks = left(out)
    assert 1 <= len(masks) < 8
    for path in masks:
        assert tifffile.imread(path).shape == large.shape


@pytest.mark.parametrize("call", ["mkdir", "rmdir", "replace"])
def test_ctrl_c_at_bad_moments(flat, images, tmp_path, monkeypatch, call):
    """Just after the hidden folder of an image was made, while it is emptied, and between mask and overlay."""
    out, real, signals = tmp_path / "out", getattr(os, call), []

    def stopped(*given: Any, **more: Any) -> None:
        if call != "rmdir":
            real(*given, **more)
        if not signals and ".part-" in str(given[0]):
            signals.append(given)
            signal.raise_signal(signal.SIGINT)
        if call == "rmdir":
            real(*given, **more)

    monkeypatch.setattr(os, call, stopped)
    words = [f"run={flat}", f"input={images}", f"output={out}", "overlays=true", "device=cpu"]
    with pytest.raises(KeyboardInterrupt):
        predict(words)
    assert signals
    assert not list(out.glob(".*"))
    predict(words)
    assert len(left(out)) == 2 * len(list(images.iterdir()))


@pytest.fixture(scope="module")
def knowing(tmp_path_factory) -> Path:
    """A run that knows the quality of its masks, with and without views; its evaluations lie beside it."""
    run = tmp_path_factory.mktemp("knowing") / "run"
    trained(run, *QUICK, *SMALL, "trainer.max_epochs=4", "optimizer.lr=1e-2", "data.sampling.foreground_fraction=0.5")
    for inference in ("tiled", "tiled_turns"):
        folder = run.with_name(inference)
        evaluate([f"run={run}", "quality=true", f"inference={inference}", f"output={folder}", "worst=0"])
    return run


@pytest.mark.parametrize(("tta", "inference"), [("none", "tiled"), ("turns", "tiled_turns")])
def test_estimates_are_those_of_evaluation_and_go_with_the_package(knowing, images, tmp_path, capsys, tta, inference):
    package = tmp_path / "package" / "model.safetensors"
    package.parent.mkdir()
    export([f"run={knowing}", f"output={package}", "verify=false"])
    output = tmp_path / "out"
    words = [f"run={package}", f"input={images}", f"output={output}", f"tta={tta}", "flag=true", "device=cpu"]
    predict(words)
    printed = capsys.readouterr().out
    assert "flag.false_alarms=0.05 cannot be promised: that takes 19 good validation cases, there are 3" in printed
    scored = {row["case"]: row for row in rows(knowing.with_name(inference))}
    with (output / "quality.csv").open(newline="") as file:
        found = {row["input"]: row for row in csv.DictReader(file)}
    assert len(found) == 6
    for name, row in scored.items():
        for column in ("estimated_dice", "expected_dice", "agreement", "mask_entropy"):
            if row[column] or found[name][column]:
                assert float(found[name][column]) == pytest.approx(float(row[column]), abs=1e-4), column
    assert any(row["agreement"] for row in scored.values()) == (tta == "turns")
    # What is done keeps its estimates, and is flagged anew.
    before = (output / "quality.csv").read_bytes()
    predict(words)
    assert "6 already there" in capsys.readouterr().out
    assert (output / "quality.csv").read_bytes() == before


def test_a_flag_that_nothing_is_known_for_is_refused_before_the_prediction(flat, images, tmp_path, capsys):
    words = [f"run={flat}", f"input={images}", f"output={tmp_path / 'out'}"]
    with pytest.raises(ValueError, match="flag=true: the model keeps nothing of the quality of its masks: segexp eval"):
        predict([*words, "flag=true"])
    assert not (tmp_path / "out").exists()
    predict([*words, "quality=true"])
    assert "quality.csv holds no estimates" in capsys.readouterr().err
    header, first, *_ = (tmp_path / "out" / "quality.csv").read_text().splitlines()
    assert header.split(",")[1] == "estimated_dice"
    assert first.split(",")[1] == ""


def test_measures_of_tiles_are_those_of_the_whole_probabilities(volume_run, volumes):
    (model,) = open_models(str(volume_run))
    file = volumes / "images" / "v4.nii.gz"
    found = segment(model, file, quality=True, probabilities=True, uncertainty=True, tta="none").quality.measures
    probs = torch.from_numpy(segment(model, file, probabilities=True).probabilities).float()
    expected = CaseQuality()
    expected.add(probs)
    for name in ("expected_dice", "entropy", "predicted"):  # the probabilities are kept in half precision
        assert found[name] == pytest.approx(expected.measures()[name], abs=2e-3, rel=1e-3)
