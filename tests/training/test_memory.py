"""Out of memory, told in one sentence."""

import numpy as np
import pytest
import torch

from segexp.config import compose, plain
from segexp.training.memory import is_of_memory, memory_told
from tests.conftest import HERE, SMALL, python

STEP = r"out of memory: a training step on 4 patches of \[32, 32\] asked for"
HUGE = 2**60


def config(*words):
    return plain(compose([*SMALL, *HERE, *words], run_dir="unused"))


@pytest.mark.parametrize("allocate", [lambda: torch.empty(HUGE), lambda: np.empty(HUGE >> 15)])
def test_what_was_asked_and_three_overrides_that_help(allocate):
    overrides = (
        r"take data.sampling.batch_size=2 with trainer.accumulate_grad_batches=2, model.checkpointing=true or "
        r"data.sampling.patch_size=\[16, 16\]"
    )
    with pytest.raises(ValueError, match=rf"{STEP} [\d.]+ \w+, which is not free; {overrides}"), memory_told(config()):
        allocate()


def test_the_words_of_cuda_and_none_at_all():
    with pytest.raises(ValueError, match=f"{STEP} 20.00 GiB"), memory_told(config()):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of")
    with pytest.raises(ValueError, match="needs more memory than is free"), memory_told(config()):
        raise MemoryError
    with pytest.raises(RuntimeError, match="another"), memory_told(config()):
        raise RuntimeError("another")


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("could not create a primitive"), True),
        (MemoryError(), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory: told already"), False),
    ],
)
def test_which_errors_are_of_memory(error, is_one):
    assert is_of_memory(error) is is_one


def test_a_prediction_is_told_with_what_helps_there():
    def _score():  # as the task names it
        torch.empty(HUGE)

    words = r"predicting a whole case by 4 tiles of \[32, 32\] .*take inference.predictor.batch_size=2, "
    words += r"inference.predictor.tile=\[16, 16\] or trainer.precision=bf16-mixed"
    with pytest.raises(ValueError, match=words), memory_told(config()):
        _score()


@pytest.mark.slow
def test_a_run_with_too_little_memory_says_so(tmp_path):
    """A limit of the process in place of a small machine."""
    limited = (
        "import resource, segexp.commands.train, segexp.cli\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))\n"
        "segexp.cli.main()\n"
    )
    (tmp_path / "limited.py").write_text(limited)
    large = ["model.base_channels=64", "data.sampling.batch_size=256", "data.sampling.patches_per_epoch=256"]
    large += ["data.sampling.patch_size=[48,48]", "data.sampling.num_workers=0", "hydra.run.dir=run"]
    done = python(tmp_path, "limited.py", "train", *SMALL, "trainer=cpu", *large)
    assert done.returncode == 1
    assert "segexp train: out of memory: a training step on 256 patches of [48, 48] takes 2." in done.stderr
    assert "take data.sampling.batch_size=" in done.stderr
