from segexp.pictures.figures import COLORS
from segexp.prediction.legend import background_of, legend_of, shown_of
from tests.prediction.models import make_model

MANY = 9  # classes, more than there are colors


def test_foreground_classes_have_their_names_values_and_the_colors_of_all_pictures():
    description = make_model(
        classes=3, class_names=["ground", "membrane", "dark"], label_values=[3, 7, 40.0]
    ).description
    legend = legend_of(description)
    assert [(one.name, one.value, list(one.color)) for one in legend] == [
        ("membrane", 7, COLORS[0].tolist()),
        ("dark", 40, COLORS[1].tolist()),
    ]
    assert background_of(description) == 3
    assert shown_of(description, legend) == {
        "channels": 1,
        "regions": False,
        "segments": [{"name": one.name, "value": one.value, "color": list(one.color)} for one in legend],
    }


def test_regions_are_ones_in_files_of_their_own():
    description = make_model(regions={"whole": [1], "core": [1]}, activation="sigmoid").description
    assert [(one.name, one.value) for one in legend_of(description)] == [("whole", 1), ("core", 1)]
    assert background_of(description) == 0
    assert shown_of(description, legend_of(description))["regions"] is True


def test_colors_begin_again_after_the_last():
    legend = legend_of(make_model(classes=MANY).description)
    assert legend[len(COLORS)].color == legend[0].color
    assert len({one.color for one in legend}) == len(COLORS)
