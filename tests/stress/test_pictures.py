import numpy as np

from segexp.stress.pictures import GAP, Gallery, _panel
from segexp.stress.scan import Scan
from tests.stress.examples import photograph, slice_case, volume
from tests.stress.made import results_for


def test_each_picture_has_a_name_of_its_own_and_the_clean_one_is_shared(tmp_path):
    gallery = Gallery.of(tmp_path, "a/b", results_for(tmp_path, {"motion": 0.1, "blur": 0.1}))
    panels = [gallery.panel(name, severity) for name in ("motion", "blur") for severity in range(6)]
    assert len(set(panels)) == 1 + 2 * 5
    assert gallery.worst_case("motion") != gallery.worst_case("blur")
    assert all(path.parent == tmp_path for path in panels)
    assert gallery.worst == {"motion": ("c2", 5), "blur": ("c2", 5)}


def test_the_image_stands_above_and_the_prediction_with_the_outline_below():
    case = slice_case()
    labels = np.zeros_like(case.target)
    labels[5:20, 5:20] = 1
    picture = _panel(case.image, case.target, labels, 2, Scan.of(case), 0)
    height = (len(picture) - GAP) // 2
    above, below = picture[:height], picture[height + GAP :]
    assert (above[..., 0] == above[..., 2]).all()  # gray
    factor = height // 40
    inside = below[10 * factor, 10 * factor]
    assert len(set(inside.tolist())) > 1  # in color
    assert (below == 255).all(-1).sum() > 4 * factor


def test_all_panels_of_a_case_share_one_window():
    case = slice_case()
    none = np.zeros_like(case.target)
    dark, plain = (_panel(image, none, none, 2, Scan.of(case), 0) for image in (case.image * 0.5, case.image))
    assert dark.mean() < 0.8 * plain.mean()


def test_volumes_show_the_slice_that_was_asked_for_upside_up_and_photographs_their_colors():
    case = volume()
    target = np.zeros_like(case.target)
    target[7, :4, :4] = 1
    picture = _panel(case.image, target, target, 2, Scan.of(case), 7)
    height = (len(picture) - GAP) // 2
    corner = picture[-height // 10 :, :20]
    assert (corner[..., 0] != corner[..., 2]).any()  # the first rows are the lowest
    color = _panel(photograph().image, photograph().target, photograph().target, 2, Scan.of(photograph()), 0)
    assert (color[: len(color) // 3, ..., 0] != color[: len(color) // 3, ..., 1]).any()
