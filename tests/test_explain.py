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
        ("data.labels=null", "data.labels must be a mapping {…: …}, for data.labels.class_names is needed: leave out"),
        ("data.labels=[]", "data.labels must be a mapping {…: …}, not a list […]"),
        ("callbacks.best=null", "callbacks.best=null must be a mapping"),
        ("callbacks.panels.every=0", "callbacks.panels.every=0 must be an integer of at least 1"),
        ("modle=unet", "modle: no such key (did you mean 'model'?)"),
        ("model.dpeth=3", "model.dpeth: no such key (did you mean 'model.depth'?)"),
        ("optimizer.learning_rate=1", "optimizer.learning_rate: no such key"),
        ("data.source.imagse=x", "data.source.imagse: no such key"),
        ("model.depth=three", "model.depth='three' must be an integer"),
        ("model.depth=0", "depth=0 must be an integer of at least 1"),
        ("model.upsampling=bilinear", "upsampling='bilinear' is not one of ['transposed'"),
        ("hydra.ouput_subdir=x", "hydra has no setting 'ouput_subdir' (did you mean 'output_subdir'?)"),
        ("trainer.precision=bf16-mixd", "trainer.precision='bf16-mixd' is not one of"),
        ("data.sampling.batch_size=0", "data.sampling.batch_size=0 must be an integer of at least 1"),
        pytest.param(
            "data.sampling.patch_size=[500,500]",
            "training cases are smaller than data.sampling.patch_size=[500, 500]",
            marks=pytest.mark.slow,  # it makes the cases
        ),
        ("model=unet,unet_tiny", "model=unet,unet_tiny: several values make a sweep, which needs -m; a list stands in"),
        ("model.num_classes=3", "model.num_classes=3, but the data make it 2: leave it out, the data set it"),
        ("data.sampling.patch_size=[8,0]", "data.sampling.patch_size: length=0 must be an integer of at least 1"),
        (
            "data.source.values={0: 0",
            "{0: 0 cannot be read (no viable alternative at input '{0: 0'): close what",
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


def test_a_key_that_only_some_of_the_swept_options_have_names_the_job(answer):
    said = sentence(answer, "-m", "sweep.dry_run=true", "scheduler=cosine,plateau", "scheduler.warmup=0.1")
    assert said == (
        "segexp train: job scheduler=plateau scheduler.warmup=0.1: scheduler.warmup: no such key in scheduler=plateau, "
        "but in constant, cosine, poly: choose among those, or leave the key out; no job was started"
    )


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["trainer.overfit_batches=1"], "pytorch_lightning.Trainer"),
        (["trainer.fast_dev_run=true"], "pytorch_lightning.Trainer"),
        (["optimizer.betas=[0.9,0.99]"], "torch.optim.AdamW"),
        (["callbacks.best.save_weights_only=true"], "pytorch_lightning.callbacks.ModelCheckpoint"),
    ],
)
def test_an_argument_of_a_class_that_the_configuration_does_not_list_is_offered_with_a_plus(answer, words, target):
    said = sentence(answer, "trainer=cpu", *words)
    assert said.endswith(f"not listed in the configuration, but {target} takes it: write +{words[-1]}")


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("trainer.profler=simple", "(did you mean '+trainer.profiler'?)"),
        ("optimizer.learning_rate=1", "no such key; optimizer has lr, weight_decay, fused"),
        ("+trainer.foo=1", "trainer.foo: no such key; trainer has default_root_dir, accelerator"),
        ("+trainer.max_epochs=3", "+trainer.max_epochs: the key is there already: leave out the +"),
        ("~trainer.max_epoch", "trainer.max_epoch: no such key (did you mean 'trainer.max_epochs'?)"),
        ("callbacks.best.foo=1", "no such key; callbacks.best has enabled, dirpath"),
        ("foo=1", "foo: no such key"),
        ("+loss.parts.ce.kind=1", "no such key; loss.parts.ce has class_weights"),
        ("scheduler.patience=1", "no such key in scheduler=cosine, but in plateau"),
    ],
)
def test_no_key_is_suggested_that_has_nothing_to_do_with_the_word(answer, word, words):
    said = sentence(answer, "trainer=cpu", word)
    assert words in said
    assert said.count("did you mean") == words.count("did you mean")


def test_a_key_of_a_file_that_has_another_place_is_answered_too(answer, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "old.yaml").write_text("# @package _global_\ndata:\n  batch_size: 3\n")
    told = sentence(answer, "--config-dir", str(tmp_path / "mine"), "experiment=old")
    assert told.endswith("data.batch_size: no such key (did you mean 'data.sampling.batch_size'?)")


@pytest.mark.slow
def test_unknown_key_of_a_network_of_ones_own_is_guessed_among_its_keys(answer, tmp_path):
    node = {"_target_": "segexp.models.FCN", "in_channels": 1, "num_classes": 2, "widths_per_level": [8]}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(yaml.safe_dump(node))
    words = [f"--config-dir={tmp_path}", "model=mine"]
    told = sentence(answer, *words, "model.width_per_level=[8]")
    assert told.endswith("model.width_per_level: no such key (did you mean 'model.widths_per_level'?)")
    assert "did you mean 'model.depth'" not in sentence(answer, *words, "model.depth=2")  # a key of the default network
