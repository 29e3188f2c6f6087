"""A training that diverges is stopped at the step, goes on without it, or goes back to its last checkpoint."""

import json
import re

import pytest
import torch
from torch import nn

from segexp.losses import CrossEntropy
from segexp.training.divergence import Divergence, DivergenceError
from tests.conftest import table, trained

WORDS = ["trainer.max_epochs=2", "callbacks.panels.enabled=false", "logger=none", "data.sampling.patches_per_epoch=20"]
FAST = [*WORDS, "optimizer=sgd", "optimizer.lr=1e30"]


class Breaks(nn.Module):
    """Cross-entropy, not a number in some batches of the training, counted from 0."""

    target_kinds = ("classes",)

    def __init__(self, at, **settings):
        super().__init__()
        self.loss, self.at = CrossEntropy(**settings), list(at)
        self.batches = -1  # one step measures memory before the training

    def forward(self, logits, target, weight=None):
        loss = self.loss(logits, target, weight)
        if not torch.is_grad_enabled():
            return loss
        self.batches += 1
        return loss * float("nan") if self.batches - 1 in self.at else loss


def broken(at):
    return ["loss=ce", "loss._target_=tests.training.test_divergence.Breaks", f"+loss.at={at}"]


def weights(folder, name="last"):
    state = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
    return {key: value for key, value in state.items() if key.startswith("network.")}


def test_a_diverged_training_stops_at_the_step_and_names_what_broke(tmp_path):
    with pytest.raises(DivergenceError) as raised:
        trained(tmp_path, *FAST)
    said = str(raised.value)
    where = re.match(
        r"training diverged at step (\d) \(epoch 0, batch (\d)\): loss and loss_dice and loss_ce not finite", said
    )
    assert where is not None, said
    assert where[1] == where[2]
    assert "gradients are not, first that of head." in said
    assert re.search(r"the batch was cut from cells_\d+", said)
    assert "lower optimizer.lr, set trainer.gradient_clip_val=1, or take trainer.precision=32-true" in said
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == "failed"
    assert record["diverged"] == {"epoch": 0, "batch": int(where[2])}
    assert not list(tmp_path.glob("checkpoints/*.ckpt"))  # nothing that is not finite was kept


def test_the_last_good_checkpoint_is_kept(tmp_path):
    with pytest.raises(DivergenceError, match=r"at step 7 \(epoch 1, batch 2\): loss not finite"):
        trained(tmp_path, *WORDS, *broken([7]))
    assert all(weight.isfinite().all() for weight in weights(tmp_path).values())
    assert [row["epoch"] for row in table(tmp_path / "metrics.csv")] == ["0"]


def test_steps_are_left_out(tmp_path):
    with pytest.warns(UserWarning, match=r"on_divergence=skip: training diverged at step [36]"):
        trained(tmp_path, *WORDS, *broken([3, 6]), "on_divergence=skip", "model.norm=batch")
    rows = table(tmp_path / "metrics.csv")
    assert [row["train/steps_left_out"] for row in rows] == ["1.0", "2.0"]
    assert all(float(row["train/loss"]) < 2 for row in rows)  # the mean of those that count
    assert all(weight.isfinite().all() for weight in weights(tmp_path).values())


@pytest.mark.slow
def test_a_step_that_is_left_out_changes_nothing(tmp_path):
    """A last step that is left out: the weights and running statistics are those of the step before."""
    words = ["trainer.max_epochs=1", "callbacks.panels.enabled=false", "logger=none", "scheduler=constant"]
    with pytest.warns(UserWarning, match="at step 3"):
        trained(tmp_path / "skip", *words, *broken([3]), "on_divergence=skip")
    trained(tmp_path / "short", *words, *broken([]), "data.sampling.patches_per_epoch=12")
    one, two = weights(tmp_path / "skip"), weights(tmp_path / "short")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_too_many_steps_in_a_row_end_the_training(tmp_path):
    words = [*WORDS, "data.sampling.patches_per_epoch=80", *broken(list(range(3, 20))), "on_divergence=skip"]
    with pytest.warns(UserWarning, match="skip"), pytest.raises(DivergenceError, match="at step 13"):
        trained(tmp_path, *words)


@pytest.mark.slow
def test_weights_and_optimizer_go_back_to_the_last_checkpoint(tmp_path):
    """After the rollback at the first step of the second epoch the weights are those of the end of the first."""
    words = ["callbacks.panels.enabled=false", "logger=none", "scheduler=constant", "model.norm=group"]
    words += ["on_divergence=rollback", "callbacks.ema.enabled=true", "data.sampling.patches_per_epoch=4"]
    with pytest.warns(UserWarning, match="on_divergence=rollback: training diverged at step 1"):
        trained(tmp_path / "two", *words, *broken([1]), "trainer.max_epochs=2")
    trained(tmp_path / "one", *words, *broken([]), "trainer.max_epochs=1")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(one[name], two[name])
    with pytest.raises(DivergenceError, match="at step 0"):  # there is no checkpoint yet
        trained(tmp_path / "none", *words, *broken([0]), "trainer.max_epochs=1")


def test_other_actions_are_refused():
    with pytest.raises(ValueError, match="on_divergence='stopp' is not one of .*did you mean 'stop'"):
        Divergence("stopp")
