"""Width, batch, loss, augmentation and epochs follow from the facts; memory is never promised twice."""

from dataclasses import replace

import pytest

from segexp.planning import Machine
from segexp.planning.learning import FEWEST_STEPS, FIRST, WIDTHS
from segexp.planning.shape import STEPS
from tests.planning.simulated import CPU, CT, GPU, PHOTOGRAPHS, SPEED, VOLUMES, chosen, measure, plan, reasons


@pytest.mark.parametrize("facts", [PHOTOGRAPHS, VOLUMES, CT], ids=["photographs", "volumes", "ct"])
def test_the_network_is_the_widest_that_makes_enough_steps(facts):
    made = plan(facts, 20)
    width = chosen(made)["model.base_channels"]
    assert 20 * 60 * 0.8 / measure(CPU)(made.words, []).seconds >= FEWEST_STEPS or width == WIDTHS[0]
    wider = WIDTHS[WIDTHS.index(width) + 1]
    assert 20 * 60 * 0.8 / measure(CPU)(made.words, [f"model.base_channels={wider}"]).seconds < (
        STEPS if wider > FIRST else FEWEST_STEPS
    )
    assert "s a step here" in reasons(made)["model.base_channels"].reason


def test_more_minutes_never_make_a_narrower_network():
    widths = [chosen(plan(VOLUMES, minutes))["model.base_channels"] for minutes in (1, 5, 20, 100, 600)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_a_gpu_gets_a_wider_network_within_its_memory():
    made = plan(CT, 60, GPU)
    assert chosen(made)["model.base_channels"] >= 32
    assert measure(GPU)(made.words, []).memory <= 0.6 * GPU.memory
    assert "data.sampling.num_workers" not in chosen(made)


def test_what_does_not_fit_is_made_smaller(monkeypatch):
    small = Machine(cores=2, memory=2**26)
    monkeypatch.setitem(SPEED, small, 1e9)
    made = plan(VOLUMES, 20, small)
    values = chosen(made)
    assert measure(small)(made.words, []).memory <= 0.6 * small.memory
    assert values["data.sampling.batch_size"] < 4
    assert "would take" in reasons(made)["data.sampling.batch_size"].reason


def test_intensities_of_ct_share_a_scale():
    assert chosen(plan(CT))["data/intensity"] == "training"
    assert chosen(plan(VOLUMES))["data/intensity"] == "zscore"


def test_flips_and_their_views_are_for_images_without_sides():
    bodies, photographs = chosen(plan(VOLUMES)), chosen(plan(PHOTOGRAPHS))
    assert (bodies["augment"], bodies["inference"]) == ("volume", "tiled")
    assert (photographs["augment"], photographs["inference"]) == ("fundus", "tiled_seen")
    sided = replace(PHOTOGRAPHS, class_names=("background", "left_lung"))
    assert chosen(plan(sided))["inference"] == "tiled"
    assert "left_lung" in reasons(plan(sided))["augment"].reason


def test_views_that_would_take_a_large_part_of_the_time_are_not_averaged():
    many = replace(PHOTOGRAPHS, test=2000)
    made = plan(many)
    assert chosen(made)["inference"] == "tiled"
    assert "of the time" in reasons(made)["inference"].reason


def test_a_given_augmentation_decides_on_the_views():
    assert chosen(plan(PHOTOGRAPHS, augment="none"))["inference"] == "tiled"


def test_rare_foreground_is_looked_for():
    rare = replace(PHOTOGRAPHS, fractions=(0.99, 0.01), width=3.0, size=(2000, 3000))
    assert chosen(plan(rare))["data.sampling.foreground_fraction"] > 0
    assert chosen(plan(PHOTOGRAPHS))["data.sampling.foreground_fraction"] == 0


def test_regions_get_their_loss():
    made = plan(VOLUMES, data__labels__regions={"whole": [1, 2]})
    assert chosen(made)["loss"] == "dice_bce"


def test_epochs_are_round_numbers_so_that_replicates_equal_each_other():
    values = chosen(plan(VOLUMES))
    assert values["data.sampling.patches_per_epoch"] % (5 * values["data.sampling.batch_size"]) == 0


def test_a_given_network_is_measured_as_it_is():
    made = plan(VOLUMES, model="unet_attention")
    assert not any(key == "model" or key.startswith("model.") for key in chosen(made))


def test_loading_gets_a_process_where_it_takes_a_part_of_a_step():
    assert chosen(plan(PHOTOGRAPHS))["data.sampling.num_workers"] in (0, 1)
