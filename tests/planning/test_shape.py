"""Axes, spacing, patch and levels follow from sizes, spacings and what the machine affords."""

from dataclasses import replace
from math import prod

import pytest

from segexp.models import UNet
from segexp.planning.shape import SMALLEST_MAP, levels
from tests.planning.simulated import CPU, CT, GPU, PHOTOGRAPHS, VOLUMES, chosen, plan, reasons


def test_small_volumes_are_learned_whole():
    values = chosen(plan(VOLUMES))
    assert values["model"] == "unet_3d"
    assert values["data.geometry.spatial_dims"] == 3
    assert values["data.sampling.patch_size"] == [40, 56, 40]
    assert values["model.depth"] == 3
    assert "data.geometry.spacing" not in values
    assert "model.strides" not in values
    assert "nothing is cut" in reasons(plan(VOLUMES))["data.sampling.patch_size"].reason


def test_slices_much_thicker_than_wide_are_learned_one_by_one_with_their_neighbors():
    facts = replace(VOLUMES, size=(40, 250, 250), spacing=(6.0, 0.6, 0.6))
    values = chosen(plan(facts))
    assert values["model"] == "unet"
    assert (values["data.geometry.spatial_dims"], values["data.geometry.context"]) == (2, 1)
    assert values["data.geometry.slice_axis"] == 0
    assert len(values["data.sampling.patch_size"]) == 2


def test_the_axis_of_slices_is_the_one_of_the_longest_pixels():
    values = chosen(plan(replace(VOLUMES, size=(250, 250, 40), spacing=(0.6, 0.6, 6.0))))
    assert values["data.geometry.slice_axis"] == 2


def test_few_slices_are_learned_one_by_one():
    values = chosen(plan(replace(VOLUMES, size=(8, 200, 200))))
    assert (values["data.geometry.spatial_dims"], values["data.geometry.slice_axis"]) == (2, 0)


def test_large_volumes_are_coarsened_as_far_as_the_structures_allow():
    values = chosen(plan(CT))
    spacing = values["data.geometry.spacing"]
    assert spacing[0] == 2.5 or spacing[0] == spacing[1]  # thick slices stay until the pixels are as wide
    assert spacing[1] == spacing[2] > 0.8
    assert CT.width * 0.8 / spacing[1] >= 3.5


def test_thin_structures_keep_their_resolution():
    vessels = replace(PHOTOGRAPHS, size=(584, 565), width=3.1, fractions=(0.87, 0.13))
    assert "data.geometry.spacing" not in chosen(plan(vessels))


def test_small_structures_keep_their_pixels_where_a_patch_shows_enough_around_them():
    nuclei = replace(PHOTOGRAPHS, size=(256, 256), width=7.0)
    assert "data.geometry.spacing" not in chosen(plan(nuclei))
    assert chosen(plan(replace(nuclei, size=(1024, 1024))))["data.geometry.spacing"] == [2.0, 2.0]
    assert chosen(plan(replace(nuclei, size=(520, 600), width=122.0)))["data.geometry.spacing"] == [2.0, 2.0]


def test_spacings_that_differ_are_brought_to_the_median():
    values = chosen(plan(replace(VOLUMES, spacings_differ=True)))
    assert values["data.geometry.spacing"] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("facts", [PHOTOGRAPHS, VOLUMES, CT], ids=["photographs", "volumes", "ct"])
@pytest.mark.parametrize("minutes", [1, 10, 60, 600])
@pytest.mark.parametrize("machine", [CPU, GPU], ids=["cpu", "gpu"])
def test_the_network_takes_the_patch_and_its_deepest_map_is_no_point(facts, minutes, machine):
    values = chosen(plan(facts, minutes, machine))
    patch = values["data.sampling.patch_size"]
    strides = values.get("model.strides", [[2] * len(patch)] * values["model.depth"])
    scales = [prod(stride[axis] for stride in strides) for axis in range(len(patch))]
    assert all(side % scale == 0 for side, scale in zip(patch, scales, strict=True))
    assert all(side // scale >= SMALLEST_MAP for side, scale in zip(patch, scales, strict=True))
    keys = ("depth", "strides", "kernels")
    settings = {key: values[f"model.{key}"] for key in keys if f"model.{key}" in values}
    UNet(spatial_dims=len(patch), base_channels=2, **settings)


def test_more_minutes_never_make_a_smaller_patch():
    sizes = [prod(chosen(plan(PHOTOGRAPHS, minutes))["data.sampling.patch_size"]) for minutes in (1, 5, 20, 100, 600)]
    assert sizes == sorted(sizes)


def test_levels_wait_along_thick_axes_as_nnu_net_has_it():
    # nnU-Net's plan of the prostate (3.6 x 0.62 x 0.62 mm, patch 16 x 320 x 256)
    depth, strides = levels([16, 320, 256], [3.6, 0.62, 0.62])
    assert strides[:2] == [[1, 2, 2], [1, 2, 2]]
    assert [2, 2, 2] in strides
    assert depth == len(strides)


def test_a_given_patch_is_kept():
    made = plan(VOLUMES, data__sampling__patch_size=[32, 32, 32])
    assert "data.sampling.patch_size" not in chosen(made)
    assert not any(one.key == "data.sampling.patch_size" for one in made.choices)
