"""Rules of intensities against scikit-learn, scipy and numpy; their descriptions; real cases where there are some."""

import inspect
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hydra.utils import get_class
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from omegaconf import OmegaConf
from scipy import stats
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from segexp.config import config_dir
from segexp.data.case import Case
from segexp.data.intensity import N4, PercentileClip, TrainingStatistics, Window, ZScore, rule_from, scaling

MEASURED = {"low": [-50.0], "high": [200.0], "mean": [60.0], "std": [40.0]}
RULES = [
    ZScore(),
    N4(),
    PercentileClip(),
    PercentileClip(2, 98),
    Window(-10, 90),
    TrainingStatistics(measured=MEASURED),
]
SHAPES = st.tuples(st.just(1), st.integers(1, 9), st.integers(1, 9))
WHOLE = arrays(st.sampled_from([np.uint8, np.int16, np.uint16, np.int32]), SHAPES, elements=st.integers(0, 255))
REAL = arrays(st.sampled_from([np.float32, np.float64]), SHAPES, elements=st.floats(-1e6, 1e6, width=32))


def network_values(rule, image, valid=None):
    intensity = rule.of(image, valid)
    return intensity.standardize(intensity.to_unit(image))


def columns(image: np.ndarray) -> np.ndarray:
    """One column per channel, as scikit-learn wants it."""
    return image.reshape(len(image), -1).T


def case(image: np.ndarray, target: np.ndarray | None, **facts) -> Case:
    return Case("a", image, target, (1.0,) * (image.ndim - 1), **facts)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@given(image=WHOLE | REAL)
def test_unit_values_are_float32_in_0_to_1(rule, image):
    unit = rule.of(image).to_unit(image)
    assert unit.dtype == np.float32
    assert unit.shape == image.shape
    assert 0 <= unit.min() <= unit.max() <= 1


@given(image=WHOLE, scale=st.floats(0.01, 100), shift=st.floats(-1000, 1000))
def test_z_score_does_not_see_affine_changes_of_the_image(image, scale, shift):
    changed = image.astype(np.float64) * scale + shift
    if np.ptp(image) == 0:
        changed[:] = shift
    np.testing.assert_allclose(network_values(ZScore(), changed), network_values(ZScore(), image), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 40, 30), (2, 7, 20, 30)])
def test_z_score_equals_scikit_learn(rng, shape, dtype):
    image = rng.gamma(2, 25, shape).clip(0, 255).astype(dtype)
    unit = ZScore().of(image).to_unit(image)
    np.testing.assert_allclose(columns(unit), MinMaxScaler().fit_transform(columns(image)), atol=1e-6)
    ours = network_values(ZScore(), image)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(columns(ours), StandardScaler().fit_transform(columns(image)), atol=1e-5)
    np.testing.assert_allclose(
        ours, stats.zscore(image.astype(np.float64), axis=tuple(range(1, len(shape)))), atol=1e-5
    )


def test_large_offsets_keep_their_digits(rng):
    image = 1e9 + rng.normal(0, 1, (1, 50, 50))
    np.testing.assert_allclose(network_values(ZScore(), image), stats.zscore(image, axis=None), atol=1e-4)


def test_pieces_do_not_show(rng, monkeypatch):
    image = rng.normal(3, 2, (1, 40, 33))
    whole = network_values(ZScore(), image)
    monkeypatch.setattr(scaling, "PIECE", 17)
    np.testing.assert_allclose(network_values(ZScore(), image), whole, atol=1e-6)


def test_a_volume_is_not_copied_to_float64(rng):
    volume = rng.integers(0, 4000, (1, 40, 512, 512), dtype=np.int16)
    tracemalloc.start()
    ZScore().of(volume)
    PercentileClip().of(volume)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * volume.size  # bytes of one such copy


@pytest.mark.parametrize("rule", [ZScore(), PercentileClip()], ids=repr)
@pytest.mark.parametrize("value", [0, 7, 0.1, 1e8, 1e17, -3e17])
def test_constant_channel_becomes_0(rule, value):
    for image in (np.full((1, 5, 7), value), np.full((1, 5, 7), value, dtype=np.float32)):
        np.testing.assert_array_equal(network_values(rule, image), np.zeros((1, 5, 7)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(rule, value):
    image = np.arange(20, dtype=np.float32).reshape(1, 4, 5)
    image[0, 2, 3] = value
    with pytest.raises(ValueError, match="not finite"):
        rule.of(image)


@pytest.mark.parametrize("rule", [ZScore(), PercentileClip(5, 95)], ids=repr)
def test_field_of_view_alone_is_measured(rng, rule):
    inside = rng.normal(100, 20, (2, 30, 40))
    image = np.zeros((2, 60, 40))
    image[:, 10:40] = inside
    valid = np.zeros((60, 40), dtype=bool)
    valid[10:40] = True
    ours = network_values(rule, image, valid)
    np.testing.assert_allclose(ours[:, 10:40], network_values(rule, inside), atol=1e-4)
    unit = rule.of(image, valid).to_unit(image)
    assert unit.min() == 0
    assert unit.max() <= 1
    for wrong in (valid[:20], np.zeros_like(valid)):
        with pytest.raises(ValueError, match=r"field of view has shape .* at least one pixel"):
            rule.of(image, wrong)


def test_percentiles_are_clipped_as_numpy_does(rng):
    image = rng.normal(0, 1, (2, 50, 60)).astype(np.float32)
    image[0, 0, 0] = 1e6
    clipped = np.stack([np.clip(c, *np.percentile(c, [0.5, 99.5])) for c in image])
    expected = StandardScaler().fit_transform(columns(clipped.astype(np.float64)))
    np.testing.assert_allclose(columns(network_values(PercentileClip(), image)), expected, atol=1e-4)


def test_few_bright_pixels_survive_equal_percentiles():
    image = np.zeros((1, 100, 100), dtype=np.uint8)
    image[0, :4, :5] = [50, 80, 100, 150, 200]  # 0.2 %
    np.testing.assert_allclose(PercentileClip().of(image).to_unit(image), image / 200, atol=1e-6)


def test_percentiles_of_large_images_come_from_evenly_strided_pixels(rng, monkeypatch):
    monkeypatch.setattr("segexp.data.intensity.rules.SAMPLE", 1000)
    image = rng.normal(0, 1, (1, 300, 301))
    sample = image.reshape(-1)[::91]  # 90300 / 91 = 992.3, the first stride that leaves 1000 or fewer
    intensity = PercentileClip(10, 90).of(image)
    np.testing.assert_allclose([intensity.low.item(), intensity.high.item()], np.percentile(sample, [10, 90]))


def test_window_by_hand():
    image = np.array([[[-1000, -160, -60, 40, 240, 3000]]], dtype=np.int16)
    intensity = Window(-160, 240).of(image)
    np.testing.assert_allclose(intensity.to_unit(image)[0, 0], [0, 0, 0.25, 0.5, 1, 1])
    np.testing.assert_allclose(network_values(Window(-160, 240), image)[0, 0], [-1, -1, -0.5, 0, 1, 1], atol=1e-6)


def test_training_statistics_are_those_of_all_foreground(rng):
    images = [rng.normal(50, 20, (2, 6, 20, 30)).astype(np.float32) for _ in range(3)]
    targets = [rng.choice([0, 1, 2, 255], (6, 20, 30)).astype(np.uint8) for _ in images]
    valid = np.ones((6, 20, 30), dtype=bool)
    valid[0] = False
    rule = TrainingStatistics()
    rule.fit([case(i, t, valid=valid) for i, t in zip(images, targets, strict=True)])

    counts = [(t == 1) | (t == 2) for t in targets]
    values = np.concatenate([i[:, c & valid] for i, c in zip(images, counts, strict=True)], axis=1).astype(np.float64)
    low, high = np.percentile(values, [0.5, 99.5], axis=1)
    other = rng.normal(80, 60, (2, 4, 5, 6)).astype(np.float32)  # a case that was not seen
    bounds = (low[:, None, None, None], high[:, None, None, None])
    clipped = columns(np.clip(other.astype(np.float64), *bounds))
    expected = StandardScaler().fit(values.T).transform(clipped)
    np.testing.assert_allclose(columns(network_values(rule, other)), expected, atol=1e-5)


def test_training_statistics_of_large_sets_take_equal_shares(monkeypatch):
    monkeypatch.setattr("segexp.data.intensity.training_statistics.SAMPLE", 20)
    large, small = np.arange(1000.0).reshape(1, 20, 50), np.arange(5.0).reshape(1, 1, 5)
    rule = TrainingStatistics(0, 100)
    rule.fit([case(i, np.ones(i.shape[1:], dtype=np.uint8)) for i in (large, small)])
    values = np.concatenate([np.arange(0, 1000, 100), np.arange(5)])
    assert rule.description()["measured"] == {
        "low": [0.0], "high": [900.0], "mean": [pytest.approx(values.mean())], "std": [pytest.approx(values.std())]
    }  # fmt: skip


def test_training_statistics_refuse_what_they_cannot_use():
    rule = TrainingStatistics()
    image = np.arange(20.0).reshape(1, 4, 5)
    for use in (lambda: rule.of(image), rule.description):
        with pytest.raises(ValueError, match="has measured nothing yet: call fit with the training cases first"):
            use()
    empty, full = np.zeros((4, 5), dtype=np.uint8), np.ones((4, 5), dtype=np.uint8)
    with pytest.raises(ValueError, match="none of 2 training cases has foreground: take data/intensity=zscore"):
        rule.fit([case(image, empty), case(image, None)])
    with pytest.raises(ValueError, match="low below high and std above 0: where the foreground is constant"):
        rule.fit([case(np.ones_like(image), full)])
    with pytest.raises(ValueError, match="case a has foreground that is not finite"):
        rule.fit([case(np.full_like(image, np.nan), full)])
    rule.fit([case(image, full)])
    with pytest.raises(ValueError, match="the image has 2 channels, the training statistics 1"):
        rule.of(np.concatenate([image, image]))


def test_fitting_again_measures_again_but_never_given_numbers():
    image, full = np.arange(20.0).reshape(1, 4, 5), np.ones((4, 5), dtype=np.uint8)
    rule, given_rule = TrainingStatistics(), TrainingStatistics(measured=MEASURED)
    for shift in (0, 100):
        rule.fit([case(image + shift, full)])
        given_rule.fit([case(image + shift, full)])
    assert rule.description()["measured"]["mean"] == [109.5]
    assert given_rule.description()["measured"] == MEASURED


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_a_description_makes_the_same_rule_again(rng, rule):
    image = rng.normal(40, 50, (1, 20, 20)).astype(np.float32)
    description = rule.description()
    again = rule_from(json.loads(json.dumps(description)))
    assert again.description() == description
    np.testing.assert_array_equal(network_values(again, image), network_values(rule, image))


def test_descriptions_of_no_rule():
    with pytest.raises(ValueError, match=r"intensity rule='Zscore' is not one of .*did you mean 'ZScore'"):
        rule_from({"rule": "Zscore"})
    with pytest.raises(ValueError, match="intensity rule=None is not one of"):
        rule_from({"low": 1.0})
    with pytest.raises(ValueError, match=r"intensity rule Window cannot have the settings {'width': 4}"):
        rule_from({"rule": "Window", "width": 4})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PercentileClip(-1, 99), "low=-1 must be"),
        (lambda: PercentileClip(60, 40), "low=60 and high=40 must be percentiles from 0 to 100"),
        (lambda: TrainingStatistics(0.5, 100.5), "high=100.5 must be a number of at least 0 and at most 100"),
        (lambda: TrainingStatistics(0.5, "99"), "high='99' must be a number"),
        (lambda: Window(1, 1), r"Window\(low=1, high=1\): high must be above low"),
        (lambda: Window(0, float("inf")), "both finite"),
        (lambda: TrainingStatistics(measured={"mean": [1.0]}), "must have low, high, mean and std of each channel"),
        (lambda: TrainingStatistics(measured=MEASURED | {"std": [0.0]}), "std above 0"),
        (lambda: TrainingStatistics(measured=MEASURED | {"std": [1.0, 2.0]}), "of each channel"),
        (lambda: TrainingStatistics(measured=MEASURED | {"low": [300.0]}), "low below high"),
    ],
)
def test_arguments_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("option", ["zscore", "percentile", "window", "training"])
def test_configuration_says_what_the_signature_says(option):
    node = OmegaConf.to_container(OmegaConf.load(config_dir() / "data" / "intensity" / f"{option}.yaml"))
    parameters = inspect.signature(get_class(node.pop("_target_"))).parameters
    assert node == {name: parameter.default for name, parameter in parameters.items()}


@pytest.mark.skipif("SEGEXP_DATA_DIR" not in os.environ, reason="SEGEXP_DATA_DIR is not set: no real data")
def test_real_slices_equal_scikit_learn():
    path = Path(os.environ["SEGEXP_DATA_DIR"]) / "isbi2012" / "train-volume.tif"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    image = tifffile.imread(path)[:3]
    np.testing.assert_allclose(
        columns(network_values(ZScore(), image)), StandardScaler().fit_transform(columns(image)), atol=1e-5
    )


def test_a_volume_in_another_order_of_memory_is_not_copied():
    """As a mapped NIfTI, turned to right, anterior, superior, is."""
    image = np.random.default_rng(0).integers(0, 999, (1, 150, 160, 170), dtype=np.int16)
    turned = np.asfortranarray(image)[:, ::-1, :, ::-1]
    expected = ZScore().of(np.ascontiguousarray(turned))
    tracemalloc.start()
    found = ZScore().of(turned)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == expected
    assert peak < 2**20 * (2 + 3 * 8 + 1)  # a piece in the file's type and three in float64


HOT = [ZScore(), PercentileClip()]


@pytest.mark.parametrize("value", [65535, -30000])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("rule", HOT, ids=lambda rule: type(rule).__name__)
def test_hot_and_dead_pixels_move_neither_range_nor_statistics(rng, rule, count, value):
    """A detector's defect in 64 x 64 pixels: all others are, and are augmented, as without it."""
    image = rng.normal(1000, 50, (1, 64, 64)).round().astype(np.int32)
    hot = image.copy()
    hot.flat[:: 64 * 64 // count][:count] = value
    plain, defect = rule.of(image), rule.of(hot)
    others = hot == image
    assert np.abs(plain.to_unit(image) - defect.to_unit(hot))[others].max() < 0.15
    found, wanted = network_values(rule, hot), network_values(rule, image)
    assert np.abs(found - wanted)[others].max() < 0.3
    assert np.abs(found).max() < 8


def test_bright_objects_and_tiny_images_keep_their_range(rng):
    image = rng.normal(100, 5, (1, 64, 64)).astype(np.float32)
    image[0, 10:15, 10:15] = 4000  # 0.6 % of the pixels
    assert ZScore().of(image).high.item() == 4000
    spots = np.zeros((1, 64, 64), np.uint16)
    spots[0, 5, 5] = 900
    assert ZScore().of(spots).high.item() == 900
    assert ZScore().of(np.array([[[0.0, 1, 2, 255]]])).high.item() == 255


def test_a_hot_pixel_in_the_foreground_does_not_move_the_training_statistics(rng):
    image = rng.normal(100, 5, (1, 64, 64)).astype(np.float32)
    target = np.ones((64, 64), np.uint8)
    plain, defect = TrainingStatistics(), TrainingStatistics()
    plain.fit([case(image, target)])
    hot = image.copy()
    hot[0, 3, 3] = 65535
    defect.fit([case(hot, target)])
    for key, numbers in plain.description()["measured"].items():
        np.testing.assert_allclose(defect.description()["measured"][key], numbers, rtol=0.03)
