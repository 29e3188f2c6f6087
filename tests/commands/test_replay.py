"""A batch at which a run diverged is trained on once more."""

import math

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from segexp.losses import CrossEntropy
from segexp.training.divergence import DivergenceError
from tests.conftest import HERE, SMALL, trained

FAST = ["optimizer=sgd", "optimizer.lr=1e30", "scheduler=constant", "logger=none", "callbacks.panels.enabled=false"]


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_diverged_from_the_start_is_replayed_and_left_alone(tmp_path, answer):
    with pytest.raises(DivergenceError) as raised:
        trained(tmp_path / "run", *FAST)
    (tmp_path / "run" / "overrides.yaml").write_text(yaml.safe_dump([*SMALL, *HERE, *FAST]))
    (tmp_path / "run" / "checksums.json").unlink(missing_ok=True)
    before = files(tmp_path / "run")
    status, out, err = answer("replay", f"run={tmp_path / 'run'}")
    assert status == 0, err
    assert str(raised.value) in out
    assert "epoch 0, batch 1" in out
    assert "loss_dice" in out
    assert "head.0.weight" in out
    assert files(tmp_path / "run") == before


class BreaksAt(nn.Module):
    """Cross-entropy, infinite in one batch, which it knows by the random numbers that the task sets for each."""

    target_kinds = ("classes",)

    def __init__(self, epoch, batch, **settings):
        super().__init__()
        self.loss = CrossEntropy(**settings)
        self.seed = int(np.random.SeedSequence([0, epoch, batch, 0]).generate_state(1, np.uint64)[0])

    def forward(self, logits, target, weight=None):
        loss = self.loss(logits, target, weight)
        return loss * math.inf if torch.is_grad_enabled() and torch.initial_seed() == self.seed else loss


def test_it_begins_with_the_last_checkpoint(tmp_path, answer):
    words = ["loss=ce", "loss._target_=tests.commands.test_replay.BreaksAt", "++loss.epoch=1", "++loss.batch=2"]
    with pytest.raises(DivergenceError, match=r"epoch 1, batch 2\)"):
        trained(tmp_path / "run", *words, *FAST[2:], "trainer.max_epochs=2")
    (tmp_path / "run" / "overrides.yaml").write_text(yaml.safe_dump([*SMALL, *HERE, *words, "trainer.max_epochs=2"]))
    (tmp_path / "run" / "checksums.json").unlink(missing_ok=True)
    status, out, err = answer("replay", f"run={tmp_path / 'run'}", *words)
    assert status == 0, err
    assert "training diverged at step 6 (epoch 1, batch 2): loss not finite" in out
    assert "the weights were not finite before" not in out


def test_a_run_that_has_not_diverged_is_refused(tmp_path, answer):
    trained(tmp_path / "run", "trainer.max_epochs=1", *FAST[2:], "trainer.limit_val_batches=1")
    status, _, err = answer("replay", f"run={tmp_path / 'run'}")
    assert status == 1
    assert "its run.json tells of no divergence" in err
    status, _, err = answer("replay")
    assert status == 1
    assert "run=<run folder> must be given" in err
