"""Settings that pair names which differ."""

import pytest

from segexp.data.sources.hints import pairing_settings


@pytest.mark.parametrize(
    ("images", "masks", "settings"),
    [
        (["a1", "a2"], ["a1_mask", "a2_mask"], "data.source.mask_suffix=_mask"),
        (["x_im", "y_im"], ["x_gt", "y_gt"], "data.source.image_suffix=_im data.source.mask_suffix=_gt"),
        (
            ["10", "11", "12"],
            ["m10", "m11", "m12"],
            """data.source.image_pattern="{name}"' 'data.source.mask_pattern="m{""",
        ),
        (["v-10", "v-11"], ["s-10", "s-11"], """'data.source.image_pattern="v-{name}"'"""),
        (["img_1_x", "img_2_x"], ["img_1_y", "img_2_y"], "image_suffix=_x data.source.mask_suffix=_y"),
        (["a", "b", "c", "d"], ["a_m", "b_m"], "mask_suffix=_m"),
    ],
)
def test_settings_that_pair_at_least_half(images, masks, settings):
    assert settings in pairing_settings(images, masks)


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["a", "b"], ["a", "b"]),
        (["a"], ["a_mask"]),
        (["a", "b"], ["c_m", "d_m"]),
        (["a", "b", "c", "d", "e"], ["a_m", "b_m"]),
        (["a", "b"], []),
    ],
)
def test_none_where_names_do_not_pair_or_pair_anyway(images, masks):
    assert pairing_settings(images, masks) == ""
