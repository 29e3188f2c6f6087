"""Whole images against the network itself, called by hand on what numpy makes of the pixels."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch.nn.functional import interpolate

from segexp.checkpoints.checkpoint import Model
from segexp.data.case import Case
from segexp.data.intensity import N4
from segexp.data.resample import resize_image
from segexp.prediction import Segmenter, Settings, segment
from tests.prediction.models import ZSCORE, make_model

VOLUMES = {"spatial_dims": 3, "patch_size": [8, 8, 8], "inference__tile": 8}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 200, shape, dtype=np.uint8)


def by_hand(model: Model, image: np.ndarray) -> torch.Tensor:
    """Probabilities (K, *S) of the whole z-scored image (C, *S)."""
    channels = image.astype(np.float64)
    axes = tuple(range(1, image.ndim))
    scored = (channels - channels.mean(axes, keepdims=True)) / channels.std(axes, keepdims=True)
    with torch.no_grad():
        return model.network(torch.from_numpy(scored.astype(np.float32))[None]).softmax(1)[0]


def same_labels(found: np.ndarray, probs: torch.Tensor) -> None:
    """Compare with the most probable class, except where two are equally probable."""
    first, second = probs.topk(2, dim=0).values
    sure = (first - second > 1e-3).numpy()
    np.testing.assert_array_equal(found[sure], probs.argmax(0).numpy()[sure])
    assert sure.mean() > 0.9
    assert len(np.unique(found)) > 1


def test_an_array_and_its_file(tmp_path):
    model, image = make_model(classes=3), noise(30, 26)
    maps = segment(model, image[None], tile="whole", probabilities=True)
    probs = by_hand(model, image[None])
    np.testing.assert_allclose(maps.probabilities, probs, atol=2e-3)
    same_labels(maps.labels, probs)
    Image.fromarray(image).save(tmp_path / "image.png")
    np.testing.assert_array_equal(segment(model, tmp_path / "image.png", tile="whole").labels, maps.labels)


def test_a_volume_lies_in_the_axes_of_its_file(tmp_path):
    model = make_model(network={"spatial_dims": 3}, **VOLUMES)
    stored = noise(12, 10, 8)  # (X, Y, Z), to the right, anterior, superior
    nib.save(nib.Nifti1Image(stored, np.eye(4)), tmp_path / "scan.nii.gz")
    labels = segment(model, tmp_path / "scan.nii.gz", tile="whole").labels
    same_labels(labels.T, by_hand(model, stored.T[None]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_of_a_volume_along_any_axis(tmp_path, axis):
    model, volume = make_model(slice_axis=axis), noise(6, 9, 8)
    nib.save(nib.Nifti1Image(volume.T, np.eye(4)), tmp_path / "scan.nii.gz")
    maps = segment(model, tmp_path / "scan.nii.gz", tile="whole", probabilities=True)
    scored = (volume - volume.mean()) / volume.std()
    slices = torch.from_numpy(np.moveaxis(scored, axis, 0).astype(np.float32))[:, None]
    with torch.no_grad():
        probs = model.network(slices).softmax(1).movedim(0, 1)
    found = maps.probabilities.swapaxes(1, 3)  # from (K, X, Y, Z)
    np.testing.assert_allclose(np.moveaxis(found, 1 + axis, 1), probs, atol=2e-3)
    same_labels(np.moveaxis(maps.labels.T, axis, 0), probs)


def test_a_case_is_resampled_to_the_network_and_its_probabilities_back():
    model, image = make_model(spacing=[1.0, 1.0]), noise(20, 24)
    maps = segment(model, image[None], spacing=[2.0, 0.5], tile="whole", probabilities=True)
    small = resize_image(image[None], (40, 12))
    probs = interpolate(by_hand(model, small)[None], size=(20, 24), mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(maps.probabilities, probs, atol=2e-3)
    same_labels(maps.labels, probs)


def test_the_pages_of_a_stack_are_images_of_their_own(tmp_path):
    model, pages = make_model(), noise(3, 20, 22)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    labels = segment(model, tmp_path / "stack.tif").labels
    np.testing.assert_array_equal(labels, np.stack([segment(model, page[None]).labels for page in pages]))


def test_what_lies_outside_the_field_of_view_is_background():
    model = make_model(network={"in_channels": 3}, channels=3, field_of_view="fundus")
    image = noise(3, 24, 24) // 2 + 60
    image[:, :, :9] = 0
    maps = segment(model, image, probabilities=True)
    assert not maps.labels[:, :9].any()
    assert (maps.probabilities[0, :, :9] == 1).all()
    assert maps.labels[:, 9:].any()


def test_steps_are_applied_where_all_models_keep_the_same():
    steps = {"min_size": {"size": 10_000}}
    kept, plain = make_model(postprocess=steps), make_model()
    image = noise(1, 24, 24)
    assert segment(plain, image).labels.any()
    assert not segment(kept, image).labels.any()
    np.testing.assert_array_equal(segment(kept, image, postprocess=False).labels, segment(plain, image).labels)
    both = Segmenter([kept, plain], Settings())
    assert both.steps_differ
    assert not both.postprocess.steps


def test_the_deviation_is_kept_where_there_are_several_views():
    model, image = make_model(), noise(1, 24, 24)
    assert segment(model, image, uncertainty=True).std is None
    several = segment(model, image, uncertainty=True, tta="flips")
    assert several.std.max() > 0.01
    assert segment(model, image, tta="flips").std is None
    with pytest.raises(ValueError, match="did you mean 'flips'"):
        segment(model, image, tta="flip")


def test_a_bias_field_is_divided_out_before_the_network_sees_the_image():
    models = [make_model(seed, intensity=rule) for seed, rule in enumerate([N4(shrink=1).description(), ZSCORE])]
    image = noise(32, 24) * np.linspace(0.5, 1.5, 24)
    corrected = N4(shrink=1).correct(Case("a", image[None], None, (1.0, 1.0))).image
    expected = [by_hand(models[0], corrected), by_hand(models[1], image[None])]
    settings = {"tile": "whole", "probabilities": True}
    for model, probs in zip(models, expected, strict=True):
        np.testing.assert_allclose(segment(model, image[None], **settings).probabilities, probs, atol=2e-3)
    both = segment(models, image[None], **settings).probabilities
    np.testing.assert_allclose(both, (expected[0] + expected[1]) / 2, atol=2e-3)
    assert (expected[0] - by_hand(models[0], image[None])).abs().max() > 0.01


def test_an_adapted_network_normalizes_by_the_image():
    model, image = make_model(classes=3), noise(32, 24)
    found = segment(model, image[None], tile="whole", probabilities=True, adapt=1).probabilities
    plain = segment(model, image[None], tile="whole", probabilities=True).probabilities
    model.network.train()
    np.testing.assert_allclose(found, by_hand(model, image[None]), atol=2e-3)
    model.network.eval()
    assert np.abs(found - plain).max() > 0.01
    for settings, message in [
        ({"adapt": -1}, "adapt=-1 must be"),
        ({"adapt": 1, "quality": True}, "adapt=1 with an estimate of the quality .* leave adapt at 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            segment(model, image[None], **settings)


def test_a_spacing_in_pixels_is_one_of_each_image_whatever_it_tells():
    model, image = make_model(), noise(1, 24, 36)
    halved = replace(model, description=replace(model.description, spacing=[2.0, 3.0], spacing_unit="px"))
    in_files = replace(model, description=replace(model.description, spacing=[2.0, 3.0]))
    wanted = segment(in_files, image, spacing=[1.0, 1.0], probabilities=True).probabilities
    for told in (None, [0.25, 0.25]):
        found = segment(halved, image, spacing=told, probabilities=True).probabilities
        np.testing.assert_array_equal(found, wanted)
    assert wanted.shape[1:] == (24, 36)


def test_progress_counts_the_tiles_of_each_page(tmp_path):
    counts = []
    pages = Case("stack", noise(1, 2, 16, 28), None, (1.0, 1.0, 1.0), "px")
    Segmenter([make_model()], Settings(border=0, batch_size=1))(pages, progress=lambda *seen: counts.append(seen))
    assert counts == [(1, 2), (2, 2)] * 2


def test_a_case_that_does_not_fit_is_refused_with_its_file(tmp_path):
    Image.fromarray(noise(16, 16)).save(tmp_path / "flat.png")
    volumes = make_model(network={"spatial_dims": 3}, **VOLUMES)
    with pytest.raises(ValueError, match=r"flat\.png is a flat image, but the network takes volumes"):
        segment(volumes, tmp_path / "flat.png")
    model = make_model()
    spaced = replace(model, description=replace(model.description, spacing=[1.0, 1.0]))
    with pytest.raises(ValueError, match=r"flat\.png does not tell the size of its pixels"):
        segment(spaced, tmp_path / "flat.png")
    with pytest.raises(ValueError, match="the array: the image holds values that are not finite"):
        segment(model, np.full((1, 16, 16), np.nan, np.float32))


def test_progress_is_told_after_each_batch_of_tiles_and_may_end_the_prediction():
    image, told = np.zeros((1, 40, 36), np.float32), []
    segment(make_model(), image, progress=lambda done, count: told.append((done, count)))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1][0] == told[-1][1] > 1

    def stop(done: int, count: int) -> None:
        raise KeyError(f"{done} of {count}")

    with pytest.raises(KeyError):
        segment(make_model(), image, progress=stop)
