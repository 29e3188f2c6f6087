"""What every metric says of tensors that it cannot take, and of settings."""

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from segexp.metrics import (
    CalibrationScores,
    CenterlineScores,
    ObjectScores,
    OverlapScores,
    PartitionScores,
    RankingScores,
    SurfaceScores,
    certain_probs,
    compare_regions,
    partition_scores,
    thin_borders,
)

NAMES = ["background", "object"]
PLANE = np.ones((2, 2), int)
METRICS = {
    "calibration": lambda **more: CalibrationScores(NAMES, **more),
    "centerline": lambda **more: CenterlineScores(NAMES, **more),
    "objects": lambda **more: ObjectScores(NAMES, **more),
    "overlap": lambda **more: OverlapScores(NAMES, **more),
    "partition": lambda **more: PartitionScores(**more),
    "ranking": lambda **more: RankingScores(NAMES, **more),
    "surface": lambda **more: SurfaceScores(NAMES, unit="px", **more),
}
every_metric = pytest.mark.parametrize("name", METRICS)


def case():
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(0, 2, (1, 8, 9), generator=generator)
    return torch.rand((1, 2, 8, 9), generator=generator).softmax(1), target, torch.tensor([0]), torch.ones(1, 2)


@every_metric
@pytest.mark.parametrize("argument", [0, 1, 2, 3])
def test_arrays_of_numpy_are_refused(name, argument):
    tensors = list(case())
    tensors[argument] = tensors[argument].numpy()
    word = ("probs", "target", "case_index", "spacing")[argument]
    with pytest.raises(ValueError, match=rf"{word} is a numpy.ndarray but must be a tensor: torch.as_tensor\({word}\)"):
        METRICS[name]().update(*tensors)


@every_metric
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p, t, i, s: (20 * p - 10, t, i, s), "probs go from .* but must be probabilities, 0 to 1: turn logits"),
        (lambda p, t, i, s: ((p > 0.5).long(), t, i, s), "probs of torch.int64 must be floating point"),
        (lambda p, t, i, s: (p, 0.5 * t, i, s), "target holds 0.5, and metrics score masks: decide soft labels"),
        (lambda p, t, i, s: (p, t / 0, i, s), "target holds nan"),
        (lambda p, t, i, s: (p, t, i / 2, s), "case_index of torch.float32 must hold the numbers of the cases"),
        (lambda p, t, i, s: (p, t, i, 0 * s), r"spacing \[\[0.0, 0.0\]\] must be above 0 and finite"),
        (lambda p, t, i, s: (p, t, i, s * torch.inf), "spacing .* must be above 0 and finite"),
        (lambda p, t, i, s: (p, t[:, :4], i, s), "do not belong together"),
    ],
)
def test_wrong_values_dtypes_and_shapes_are_refused(name, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        METRICS[name]().update(*change(*case()))


@pytest.mark.parametrize("name", [name for name in METRICS if name != "partition"])
def test_classes_out_of_range_are_refused(name):
    probs, target, index, spacing = case()
    with pytest.raises(ValueError, match="target holds class 2 but there are 2 classes"):
        METRICS[name]().update(probs, 2 * target, index, spacing)


@every_metric
def test_masks_are_taken_in_any_dtype_and_probabilities_with_a_rounding(name):
    probs, target, index, spacing = case()
    expected, found = METRICS[name](), METRICS[name]()
    expected.update(probs, target, index, spacing)
    found.update(probs, target.float(), index, spacing)
    assert repr(found.compute()) == repr(expected.compute())
    half = torch.cat([1 - probs[:, 1:], probs[:, 1:]], 1).bfloat16()
    METRICS[name]().update(half, target.to(torch.uint8), index, spacing)


@every_metric
@pytest.mark.parametrize("value", [torch.inf, 2.5, None, "x", -101])
def test_an_ignore_index_is_an_integer(name, value):
    with pytest.raises(ValueError, match="ignore_index=.* must be an integer of at least -100"):
        METRICS[name](ignore_index=value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: OverlapScores("ab"), "class_names='ab' must be a list of names"),
        (lambda: OverlapScores(3), "class_names=3 must be a list of names"),
        (lambda: OverlapScores(["a", "a"]), r"class_names=\['a', 'a'\] must be different names"),
        (lambda: OverlapScores(NAMES, "x"), "regions='x' must be a list of names"),
        (lambda: SurfaceScores(NAMES, tolerances=[torch.inf]), "=inf must be a finite number"),
        (lambda: PartitionScores(thresholds=[torch.nan]), r"thresholds\[0\]=nan must be a number of at least 0"),
        (lambda: PartitionScores(thresholds=0.5), "thresholds=0.5 must be a list of one or more numbers"),
        (lambda: CalibrationScores(NAMES, bins=torch.inf), "bins=inf must be an integer"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda t: partition_scores(t, t), "interior is a Tensor but must be an array"),
        (lambda t: thin_borders(t.numpy()), r"interior \(4, 5\) of float32 must be \(H, W\) of integers or bool"),
        (
            lambda t: compare_regions(np.ones((2, 2), int), np.ones((3, 3), int)),
            r"must have the shape of regions \(2, 2\)",
        ),
        (lambda t: compare_regions(np.ones((2, 2), int), np.zeros((2, 2), int)), "truth_regions is 0 everywhere"),
        (lambda t: certain_probs(t.numpy(), 2), "labels is a ndarray but must be a tensor"),
    ],
)
def test_functions_refuse_what_they_cannot_take(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(torch.ones(4, 5))


@pytest.mark.parametrize("groups", [True, False])
def test_a_collection_does_not_take_metrics_for_the_same_that_differ_in_settings(groups):
    """Their states are equal on the first case, where all is right."""
    pair = {f"within_{at}": SurfaceScores(NAMES, unit="px", tolerances=[at]) for at in (1, 3)}
    together = MetricCollection(pair, compute_groups=groups)
    square = torch.zeros(1, 16, 16, dtype=torch.int64)
    square[0, 4:8, 4:8] = 1
    for number, shift in enumerate((0, 2)):
        probs = certain_probs(square[0].roll(shift, 0), 2)[None]
        together.update(probs, square, torch.tensor([number]))
    scores = [row.scores for result in together.compute().values() for row in result.rows]
    assert [score.get("nsd_1px") for score in scores[:2]] == [1.0, pytest.approx(2 / 3)]
    assert [score.get("nsd_3px") for score in scores[2:]] == [1.0, 1.0]


def test_a_collection_keeps_objects_of_other_thresholds_apart():
    pair = {name: ObjectScores(NAMES, thresholds=[at]) for name, at in (("loose", 0.5), ("strict", 0.9))}
    together = MetricCollection(pair)
    square = torch.zeros(1, 16, 16, dtype=torch.int64)
    square[0, 4:12, 4:12] = 1
    for number, shift in enumerate((0, 1)):
        together.update(certain_probs(square[0].roll(shift, 0), 2)[None], square, torch.tensor([number]))
    f1 = {name: [row.scores["object_f1"] for row in result.rows] for name, result in together.compute().items()}
    assert f1 == {"loose": [1.0, 1.0], "strict": [1.0, 0.0]}
