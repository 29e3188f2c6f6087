"""A training that does not fit into memory is refused before its first step."""

import pytest

from segexp.build import build_data, build_task, build_trainer
from segexp.config import compose, plain
from segexp.training.fitting import Fitting, one_of
from tests.conftest import HERE, SMALL, trained

MIB = 2**20


@pytest.fixture(scope="module")
def data():
    found = build_data(plain(compose([*SMALL, *HERE], run_dir="unused")))
    found.setup()
    return found


def fitting(data, free, *words):
    config = plain(compose([*SMALL, *HERE, *words], run_dir="unused"))
    return Fitting(config, build_trainer(config | {"callbacks": {}, "logger": None}), build_task(config), data, free)


def test_what_fits_is_let_through(data):
    fitting(data, 2 * MIB).require()
    fitting(data, 2**40).require()


def test_a_step_that_does_not_fit_is_told_with_what_does(data):
    with pytest.raises(ValueError, match="out of memory") as found:
        fitting(data, 1.0 * MIB).require()
    assert str(found.value) == (
        "out of memory: a training step on 4 patches of [32, 32] takes 1.288 MiB, and 1 MiB are free; take "
        "data.sampling.batch_size=2 with trainer.accumulate_grad_batches=2, model.checkpointing=true or "
        "data.sampling.patch_size=[16, 16]"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["data.sampling.batch_size=2", "trainer.accumulate_grad_batches=2"],
        ["model.checkpointing=true"],
        ["data.sampling.patch_size=[16,16]"],
    ],
)
def test_the_overrides_fit(words):
    own = build_data(plain(compose([*SMALL, *HERE, *words], run_dir="unused")))
    own.setup()
    fitting(own, 1.0 * MIB, *words).require()


def test_less_memory_needs_more_of_it(data):
    more = r"batch_size=1 with .*, model.checkpointing=true with data.sampling.batch_size=2 and trainer.accumulate_grad"
    with pytest.raises(ValueError, match=more):
        fitting(data, 0.5 * MIB).require()
    assert one_of([]) == "no smaller batch or patch fits: take a smaller network, such as half of model.base_channels"


def test_a_case_or_its_tiles_that_do_not_fit_are_told(data):
    whole = ["inference.predictor.tile=[4096,4096]", "inference.predictor.batch_size=4"]
    words = r"predicting val case \w+ of \[48, 48\] by 4 tiles of \[4096, 4096\] takes [\d.]+ GiB, and 2 GiB are free; "
    words += r"take inference.predictor.batch_size=1 or inference.predictor.tile=\[2048, 2048\]"
    with pytest.raises(ValueError, match=words):
        fitting(data, 2048 * MIB, *whole).require()
    with pytest.raises(
        ValueError, match=r"predicting val case \w+ of \[48, 48\] takes 63 KiB for its probabilities of 2 classes alone"
    ):
        fitting(data, 0.05 * MIB)._require_scoring()


def test_a_run_that_does_not_fit_leaves_a_record_and_nothing_else(tmp_path):
    """A patch of 2^14 pixels a side fits into no machine; no step of it is tried."""
    with pytest.raises(ValueError, match=r"a training step on 4 patches of \[16384, 16384\] takes [\d,]+ GiB, and"):
        trained(tmp_path / "run", "data.sampling.patch_size=[16384,16384]", "data.sampling.patches_per_epoch=4")
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"run.json", "config.yaml", "overrides.yaml", "checksums.json"}
