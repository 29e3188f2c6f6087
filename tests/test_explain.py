"""What the user can fix is explained in one sentence."""

import pytest
import yaml

from tests.conftest import sentence

GROUPS = [  # keys of data, each with its group
    *((key, "labels") for key in ("num_classes", "class_names", "regions", "object_class")),
    *((key, "geometry") for key in ("spatial_dims", "context", "slice_axis", "spacing", "distance_unit")),
    *((key, "sampling") for key in ("patch_size", "patches_per_epoch", "batch_size", "mirror_margin", "num_workers")),
    *((key, "split") for key in ("folds", "fold", "train_fraction")),
]


@pytest.mark.parametrize(
    ("word", "words"),
    [
        (
            "model=unett",
            "model=unett: no such option (did you mean 'unet'?); there are: custom, fcn8s, fcn8s_tiny, unet, unet_2015",
        ),
        ("modle=unet", "modle: no such key (did you mean 'model'?)"),
        ("model.dpeth=3", "model.dpeth: no such key (did you mean 'model.depth'?)"),
        ("optimizer.learning_rate=1", "optimizer.learning_rate: no such key"),
        ("data.source.imagse=x", "data.source.imagse: no such key"),
        ("model.depth=three", "depth='three' must be an integer of at least 1"),
        ("model.upsampling=bilinear", "upsampling='bilinear' is not one of ['transposed'"),
        ("hydra.ouput_subdir=x", "hydra has no setting 'ouput_subdir' (did you mean 'output_subdir'?)"),
        ("trainer.precision=bf16-mixd", "trainer.precision='bf16-mixd' is not one of"),
        ("data.sampling.batch_size=0", "must be an integer of at least 1"),
        pytest.param(
            "data.sampling.patch_size=[500,500]",
            "training cases are smaller than data.sampling.patch_size=[500, 500]",
            marks=pytest.mark.slow,  # it makes the cases
        ),
        ("resume=nowhere", "resume=nowhere: nothing to resume"),
        *(
            pytest.param(
                f"data.{key}=1",
                f"data.{key}: no such key (did you mean 'data.{group}.{key}'?)",
                marks=() if key in ("num_classes", "patch_size", "fold") else pytest.mark.slow,
            )
            for key, group in GROUPS
        ),
        ("data.foreground_share=1", "no such key (did you mean 'data.sampling.foreground_fraction'?)"),
    ],
)
def test_a_wrong_word_gets_a_sentence(answer, word, words):
    assert words in sentence(answer, "trainer=cpu", word)


def test_a_key_of_another_option_is_told_as_such(answer):
    said = sentence(answer, "-m", "sweep.dry_run=true", "model=unet_tiny,fcn8s_tiny", "model.depth=2")
    assert "model.depth: no such key in the chosen option of model, others have it" in said


def test_a_key_of_a_file_that_has_another_place_is_answered_too(answer, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "old.yaml").write_text("# @package _global_\ndata:\n  batch_size: 3\n")
    told = sentence(answer, "--config-dir", str(tmp_path / "mine"), "experiment=old")
    assert told.endswith("data.batch_size: no such key (did you mean 'data.sampling.batch_size'?)")


def test_unknown_key_of_a_network_of_ones_own_is_guessed_among_its_keys(answer, tmp_path):
    node = {"_target_": "segexp.models.FCN", "in_channels": 1, "num_classes": 2, "widths_per_level": [8]}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(yaml.safe_dump(node))
    words = [f"--config-dir={tmp_path}", "model=mine"]
    told = sentence(answer, *words, "model.width_per_level=[8]")
    assert told.endswith("model.width_per_level: no such key (did you mean 'model.widths_per_level'?)")
    assert "did you mean 'model.depth'" not in sentence(answer, *words, "model.depth=2")  # a key of the default network
