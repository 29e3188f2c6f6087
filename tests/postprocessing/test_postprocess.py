"""Post-processing against MONAI, scipy and scikit-image, and against pixels counted by hand."""

import warnings

import numpy as np
import pytest
from monai.transforms import FillHoles, KeepLargestConnectedComponent, RemoveSmallObjects
from scipy import ndimage
from skimage.draw import disk
from skimage.morphology import remove_small_holes, remove_small_objects

from segexp.postprocessing.postprocess import STEPS, PostProcess

SIZES = [(40, 37), (14, 16, 15)]
REACH = {"faces": 1, "full": None}  # what MONAI calls it


def blobs(size: tuple[int, ...], seed: int, classes: int = 3) -> np.ndarray:
    """Smooth random labels (*size) uint8 with many objects, specks and holes."""
    noise = np.random.default_rng(seed).random((classes, *size))
    smooth = np.stack([ndimage.gaussian_filter(channel, 1.0) for channel in noise])
    return smooth.argmax(0).astype(np.uint8)


EACH = {"largest_component": {}, "min_size": {"size": 9}, "fill_holes": {}, "watershed": {}}


def regions(size: tuple[int, ...], seed: int) -> np.ndarray:
    return np.stack([blobs(size, seed + i, 2) == 1 for i in range(3)])


def apply(array: np.ndarray, step: str, spacing: tuple[float, ...] | None = None, **settings) -> np.ndarray:
    return PostProcess({step: settings})(array, spacing)


def component_sizes(mask: np.ndarray, connectivity: str) -> np.ndarray:
    structure = ndimage.generate_binary_structure(mask.ndim, 1 if connectivity == "faces" else mask.ndim)
    return np.bincount(ndimage.label(mask, structure)[0].ravel())[1:]


def degenerate() -> list[np.ndarray]:
    one = np.zeros((5, 6), np.uint8)
    one[2, 3] = 1
    plain = [
        np.zeros((5, 6), np.uint8),
        np.ones((5, 6), np.uint8),
        one,
        np.ones((1, 1), np.int64),
        np.ones((4, 4, 4), int),
    ]
    return [*plain, np.zeros((2, 5, 6), bool), np.ones((2, 5, 6), bool), one[None] == 1]


@pytest.mark.parametrize("connectivity", REACH)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_largest_component_is_monais(size, connectivity):
    """But for ties, where MONAI keeps the last one and we the first."""
    compared = 0
    for seed in range(8):
        labels = blobs(size, seed)
        ours = apply(labels, "largest_component", connectivity=connectivity)
        theirs = KeepLargestConnectedComponent([1, 2], is_onehot=False, connectivity=REACH[connectivity])(
            labels[None].copy()
        )
        for label in (1, 2):
            sizes = np.sort(component_sizes(labels == label, connectivity))
            assert (ours == label).sum() == sizes[-1]
            if len(sizes) == 1 or sizes[-1] > sizes[-2]:
                compared += 1
                assert np.array_equal(ours == label, np.asarray(theirs)[0] == label)
    assert compared > 8


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_largest_component_of_classes_together_is_monais(size):
    labels = blobs(size, 3, classes=8)
    labels[labels > 3] = 0
    ours = apply(labels, "largest_component", classes=[1, 2], together=True)
    theirs = KeepLargestConnectedComponent([1, 2], is_onehot=False, independent=False, connectivity=1)(
        labels[None].copy()
    )
    assert np.array_equal(ours, np.asarray(theirs)[0])
    assert np.array_equal(ours == 3, labels == 3)
    assert (ours > 0).sum() < (labels > 0).sum()


def test_of_equally_large_components_the_first_stays():
    assert apply(np.array([[1, 0, 1, 0, 1]]), "largest_component").tolist() == [[1, 0, 0, 0, 0]]


@pytest.mark.parametrize("connectivity", REACH)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_small_objects_are_those_of_scikit_image_and_monai(size, connectivity):
    labels = blobs(size, 5)
    ours = apply(labels, "min_size", size=12, connectivity=connectivity)
    reach = REACH[connectivity] or len(size)
    for label in (1, 2):
        assert np.array_equal(ours == label, remove_small_objects(labels == label, max_size=11, connectivity=reach))
    one_hot = np.stack([labels == label for label in (1, 2)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI takes an argument that scikit-image renamed;
        # since then it removes objects of exactly min_size, too, hence the half
        monai = RemoveSmallObjects(min_size=11.5, connectivity=reach)
        theirs = np.stack([np.asarray(monai(part[None]))[0] for part in one_hot])
    assert np.array_equal(PostProcess({"min_size": {"size": 12, "connectivity": connectivity}})(one_hot), theirs)
    assert (ours > 0).sum() < (labels > 0).sum()


def test_sizes_in_mm_count_the_volume_of_a_voxel():
    labels = blobs((14, 16, 15), 5)
    in_mm = apply(labels, "min_size", (2.0, 0.5, 3.0), size=36, unit="mm")  # 12 voxels of 3 mm^3
    assert np.array_equal(in_mm, apply(labels, "min_size", size=12))
    assert np.array_equal(
        apply(labels, "fill_holes", (2.0, 0.5, 3.0), max_size=9, unit="mm"), apply(labels, "fill_holes", max_size=3)
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("connectivity", REACH)
def test_holes_of_one_class_are_those_of_scipy_and_monai(size, connectivity):
    filled = 0
    for seed in range(6):
        mask = ndimage.gaussian_filter(np.random.default_rng(seed).random(size), 0.7) > 0.45
        structure = ndimage.generate_binary_structure(len(size), 1 if connectivity == "faces" else len(size))
        truth = ndimage.binary_fill_holes(mask, structure)
        ours = apply(mask.astype(np.uint8), "fill_holes", connectivity=connectivity)
        assert np.array_equal(ours, truth)
        assert np.array_equal(apply(mask[None], "fill_holes", connectivity=connectivity)[0], truth)
        theirs = FillHoles(connectivity=REACH[connectivity])(mask[None].astype(np.uint8))
        assert np.array_equal(ours, np.asarray(theirs)[0])
        filled += int(truth.sum() - mask.sum())
    assert filled > 0


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_largest_hole_is_that_of_scikit_image(size):
    mask = np.pad(np.random.default_rng(1).random([n - 2 for n in size]) > 0.35, 1, constant_values=True)
    ours = apply(mask.astype(np.uint8), "fill_holes", max_size=2)
    assert np.array_equal(ours, remove_small_holes(mask, max_size=2, connectivity=1))
    assert (ours == 0).any()


def test_a_hole_between_two_classes_stays_and_a_class_inside_another_is_no_hole():
    between = np.array([[1, 1, 1, 2, 2, 2, 3, 3], [1, 0, 1, 2, 0, 0, 3, 0], [1, 1, 1, 2, 2, 2, 3, 3]])
    documented = FillHoles(connectivity=1)(between[None])
    assert np.array_equal(apply(between, "fill_holes"), np.asarray(documented)[0])
    inside = np.ones((5, 5), int)
    inside[2, 2] = 2
    assert np.array_equal(apply(inside, "fill_holes"), inside)  # MONAI overwrites the 2
    around = np.ones((7, 7), int)
    around[2:5, 2:5] = 0
    around[3, 3] = 2
    assert np.array_equal(apply(around, "fill_holes"), around)  # the gap has neighbours of both


def test_only_the_named_classes_are_filled():
    labels = np.full((5, 9), 1, np.uint8)
    labels[:, 5:] = 2
    labels[2, [2, 7]] = 0
    filled = apply(labels, "fill_holes", classes=[2])
    assert (filled[2, 2], filled[2, 7]) == (0, 2)


def two_discs(radius: int = 12, apart: int = 18) -> np.ndarray:
    mask = np.zeros((40, 60), np.uint8)
    for column in (20, 20 + apart):
        mask[disk((20, column), radius, shape=mask.shape)] = 1
    return mask


def test_touching_discs_are_split_where_the_neck_is_narrow_enough():
    mask = two_discs()
    distance = ndimage.distance_transform_edt(mask)
    fall = distance.max() - distance[:, 29].max()  # the neck lies half way between the centres
    assert ndimage.label(apply(mask, "watershed", depth=fall - 0.1))[1] == 2
    assert np.array_equal(apply(mask, "watershed", depth=fall + 0.1), mask)
    parted = apply(mask, "watershed", depth=fall - 0.1)
    removed = np.argwhere(parted != mask)
    assert set(removed[:, 1]) == {29}
    assert len(removed) == mask[:, 29].sum()
    regions = apply(np.stack([mask, 0 * mask]) == 1, "watershed", depth=fall - 0.1)
    assert np.array_equal(regions[0], parted)
    assert not regions[1].any()


def test_split_discs_are_those_of_the_power_diagram():
    """Each pixel goes to the disc in which it lies deepest, but for a pixel or two beside the lines."""
    discs = [(20, 20, 12), (20, 36, 7)]  # row, column, radius
    mask = np.zeros((40, 60), np.uint8)
    for row, column, radius in discs:
        mask[disk((row, column), radius, shape=mask.shape)] = 1
    parted = ndimage.label(apply(mask, "watershed", depth=1.0))[0]
    assert parted.max() == 2
    rows, columns = np.indices(mask.shape)
    depths = np.stack([radius**2 - (rows - row) ** 2 - (columns - column) ** 2 for row, column, radius in discs])
    numbers = np.array([parted[row, column] for row, column, _ in discs])
    assert np.mean(numbers[depths.argmax(0)][parted > 0] == parted[parted > 0]) > 0.97


def test_watershed_draws_membranes_between_cells_and_leaves_small_ones_whole():
    labels = 1 - two_discs()  # cells are class 0, the membrane 1
    labels[2, 2:4] = 0  # a cell too small for a peak of its own
    parted = apply(labels, "watershed", classes=[0], line=1, depth=2.0)
    assert ndimage.label(parted == 0)[1] == 3
    assert set(np.argwhere(parted != labels)[:, 1]) == {29}
    assert (parted[2, 2:4] == 0).all()


def test_watershed_in_mm_and_in_3d():
    ball = np.zeros((20, 24, 44), np.uint8)
    zyx = np.indices(ball.shape)
    for x in (14, 29):
        ball[((zyx - np.array([10, 12, x])[:, None, None, None]) ** 2).sum(0) <= 81] = 1
    assert ndimage.label(apply(ball, "watershed", depth=2.0))[1] == 2
    assert ndimage.label(apply(ball, "watershed", depth=9.0))[1] == 1
    half = (0.5, 0.5, 0.5)
    assert np.array_equal(apply(ball, "watershed", half, depth=1.0, unit="mm"), apply(ball, "watershed", depth=2.0))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_split_objects_are_apart(size):
    """Each object of the result has one seed at most: doing it again changes nothing but what became narrower."""
    for connectivity, axes in (("faces", 1), ("full", len(size))):
        labels = blobs(size, 9, 2)
        parted = apply(labels, "watershed", depth=0.5, connectivity=connectivity)
        structure = ndimage.generate_binary_structure(len(size), axes)
        assert ndimage.label(parted, structure)[1] > ndimage.label(labels, structure)[1]
        assert (parted <= labels).all()


def test_steps_run_in_their_order_whatever_the_order_of_the_settings():
    labels = np.ones((9, 9), np.uint8)
    labels[4, 4] = 2  # a speck of another class: removed, then filled
    settings = {"fill_holes": {}, "min_size": {"size": 4}}
    assert (PostProcess(settings)(labels) == 1).all()
    assert list(PostProcess(settings).steps) == ["min_size", "fill_holes"]
    assert list(STEPS) == ["largest_component", "min_size", "fill_holes", "watershed"]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_each_region_is_treated_by_itself(size):
    both = regions(size, 4)
    for step, settings in EACH.items():
        together = apply(both, step, **settings)
        assert together.dtype == bool
        for part, done in zip(both, together, strict=True):
            assert np.array_equal(done, apply(part.astype(np.uint8), step, **settings))
        one = apply(both, step, classes=[1], **settings)
        assert np.array_equal(one[[0, 2]], both[[0, 2]])
        assert np.array_equal(one[1], together[1])


@pytest.mark.parametrize("array", degenerate(), ids=lambda array: f"{array.shape} {array.dtype} {array.sum()}")
def test_degenerate_arrays_pass(array):
    before = array.copy()
    everything = PostProcess({"largest_component": {}, "min_size": {"size": 1}, "fill_holes": {}, "watershed": {}})
    done = everything(array)
    assert np.array_equal(array, before)  # the input stays as it is
    assert np.array_equal(done, before)
    assert done.dtype == array.dtype
    assert not PostProcess({"min_size": {"size": 10_000}})(array).any()
    named = {"classes": [0], "line": 1} if array.dtype != bool else {}
    assert PostProcess({"watershed": named})(array).shape == array.shape


def test_nothing_is_done_without_steps_or_to_absent_classes():
    labels = blobs((40, 37), 0)
    assert np.array_equal(PostProcess({})(labels), labels)
    for step, settings in {
        "largest_component": {},
        "min_size": {"size": 99},
        "fill_holes": {},
        "watershed": {},
    }.items():
        assert np.array_equal(apply(labels, step, classes=[7], **settings), labels)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ({"fill_hole": {}}, "did you mean 'fill_holes'"),
        ({"min_size": {}}, "min_size has no size"),
        ({"min_size": {"size": -1}}, "min_size.size=-1 must be a number of at least 0"),
        ({"min_size": {"siez": 1}}, "min_size.siez: no such setting"),
        ({"min_size": {"size": 1, "unit": "cm"}}, "'cm' is not one of"),
        ({"largest_component": {"classes": []}}, "must list one or more classes"),
        ({"largest_component": {"connectivity": "face"}}, "did you mean 'faces'"),
        ({"watershed": {"depth": 0}}, "watershed.depth=0 would split"),
        ({"watershed": {"classes": [1], "line": 1}}, "is itself among classes"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(steps, sentence):
    with pytest.raises(ValueError, match=sentence):
        PostProcess(steps)


@pytest.mark.parametrize(
    ("steps", "array", "spacing", "sentence"),
    [
        ({"min_size": {"size": 3, "unit": "mm"}}, np.ones((4, 4), int), None, "size of a pixel is not known"),
        ({}, np.ones((4, 4), int), (1.0,), "one size above 0 for each of 2 axes"),
        ({}, np.ones((4, 4)), None, "cannot be post-processed"),
        ({}, np.ones((4, 4), bool), None, "cannot be post-processed"),
        ({"fill_holes": {"classes": [0]}}, np.ones((4, 4), int), None, "class 0, the background"),
        ({"watershed": {"classes": [0]}}, np.ones((4, 4), int), None, "class 0, the background"),
        ({"fill_holes": {"classes": [2]}}, np.ones((2, 4, 4), bool), None, "classes: region=2 is not one of"),
        ({"watershed": {"line": 1}}, np.ones((2, 4, 4), bool), None, "lines are outside of them"),
    ],
    ids=str,
)
def test_arrays_that_do_not_fit_are_refused(steps, array, spacing, sentence):
    with pytest.raises(ValueError, match=sentence):
        PostProcess(steps)(array, spacing)
