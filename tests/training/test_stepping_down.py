"""Memory that runs out within a run: real trainings, in which a callback refuses what is too much at once."""

import json
import resource

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from segexp.comparison.experiments import group, warnings
from segexp.runs.runs import find_runs
from segexp.training.stepping_down import STATE
from tests.conftest import HERE, ROOT, SMALL, python, table, trained
from tests.training.test_last_checkpoint import STOP, curves, require_equal, state

WORDS = [  # seven batches of 4 patches an epoch, in groups of two, the last of one
    "trainer.max_epochs=2",
    "data.sampling.patches_per_epoch=28",
    "trainer.accumulate_grad_batches=2",
    "trainer.precision=64-true",
    "model.norm=instance",
    "scheduler=cosine",
    "callbacks.panels.enabled=false",
    "logger=none",
]
SHORTAGE = "+callbacks.shortage._target_=tests.training.test_stepping_down.Shortage"
PARTS = ("state_dict", "optimizer_states", "lr_schedulers", "loops")


class Shortage(pl.Callback):
    """A device whose memory holds the feature maps of a few patches, or tiles, only.

    Args:
        batch: Batch of the run in which it begins, counted over all epochs.
        patches: Number of patches that it holds; 0 = one whose maps are recomputed.
        backward: Whether the backward pass finds out, not the forward pass.
        tiles: Number of tiles that it holds.
        side: Longest side of the tiles that it holds.
        rank: Process that it is the device of; None = each has one.
    """

    def __init__(
        self,
        batch: int = 0,
        patches: int = 9,
        backward: bool = False,
        tiles: int = 9,
        side: int = 99,
        rank: int | None = None,
    ) -> None:
        self.batch, self.patches, self.backward = batch, patches, backward
        self.tiles, self.side, self.rank = tiles, side, rank

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.trainer = trainer
        if stage == "fit" and self.rank in (None, trainer.global_rank):
            pl_module.network.register_forward_hook(self.look)

    def look(self, network: nn.Module, args: tuple[torch.Tensor], logits: torch.Tensor) -> None:
        count = len(args[0])
        if not self.trainer.training:
            if not network.training and (count > self.tiles or max(args[0].shape[2:]) > self.side):
                refuse(logits)
            return
        held = self.patches or int(network.config["checkpointing"])
        if self.trainer.fit_loop.total_batch_idx < self.batch or count <= held:
            return
        if not self.backward:
            refuse(logits)
        elif logits.requires_grad:
            logits.register_hook(refuse)


def refuse(_: torch.Tensor) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has a total capacity of")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("unbroken"), *WORDS)


def shortage(folder, *words, **settings):
    given = [f"+callbacks.shortage.{name}={value}" for name, value in settings.items()]
    return trained(folder, *WORDS, SHORTAGE, *given, *words)


def changes(folder):
    record, results = (json.loads((folder / f"{name}.json").read_text()) for name in ("run", "results"))
    assert record["stepped_down"] == results["training"]["stepped_down"]
    return [(one["epoch"], one["batch"], one["from"], one["to"]) for one in record["stepped_down"]]


@pytest.mark.parametrize("backward", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_batch_is_done_again_in_parts_and_the_run_is_the_unbroken_one(unbroken, tmp_path, capsys, backward):
    """Sums of gradients are rounded in another order; nothing else differs. Batch 10 is within a group."""
    shortage(tmp_path, batch=10, patches=1, backward=backward)
    assert changes(tmp_path) == [
        (1, 3, "4 patches at once", "2 patches at once"),
        (1, 3, "2 patches at once", "1 patch at once"),
    ]
    said = capsys.readouterr().out
    assert "out of memory in epoch 1, batch 3: done again, and on, with 2 patches at once instead of 4 patches" in said
    assert "for lack of memory: 1 patch at once instead of 4 patches at once" in said
    one, two = state(unbroken), state(tmp_path)
    assert one["global_step"] == two["global_step"] == 8
    for name, weight in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], weight, rtol=1e-9, atol=1e-11, msg=name)
    require_equal(two["loops"], one["loops"])
    require_equal(two["lr_schedulers"], one["lr_schedulers"])
    for first, second in zip(table(unbroken / "metrics.csv"), table(tmp_path / "metrics.csv"), strict=True):
        assert float(second["train/loss"]) == pytest.approx(float(first["train/loss"]), rel=1e-6)
        assert second["lr"] == first["lr"]


@pytest.mark.slow
def test_the_resumed_run_goes_on_in_parts_bit_for_bit(tmp_path):
    words = {"batch": 2, "patches": 2}
    own = ["model.dropout=0.2", "trainer.precision=32-true"]
    shortage(tmp_path / "whole", *own, **words)
    shortage(tmp_path / "cut", *own, STOP, "+callbacks.stop.batch=9", **words)
    assert state(tmp_path / "cut")[STATE]["micro_batch"] == 2
    shortage(tmp_path / "cut", *own, f"resume={tmp_path / 'cut'}", "allow_changes=[callbacks.stop]", **words)
    for part in PARTS:
        require_equal(state(tmp_path / "cut")[part], state(tmp_path / "whole")[part], part)
    assert curves(tmp_path / "cut") == curves(tmp_path / "whole")
    assert (
        changes(tmp_path / "cut")
        == changes(tmp_path / "whole")
        == [(0, 2, *("4 patches at once", "2 patches at once"))]
    )


def test_a_single_patch_that_is_too_much_recomputes_its_maps_and_batch_norm_is_told(tmp_path):
    shortage(tmp_path, "model.norm=batch", "trainer.max_epochs=1", batch=1, patches=0)
    alone = "1 patch at once, of which batch norm takes its statistics"
    assert [change[2:] for change in changes(tmp_path)] == [
        ("4 patches at once", "2 patches at once, of which batch norm takes its statistics"),
        ("2 patches at once", alone),
        ("model.checkpointing=false", "model.checkpointing=true"),
    ]
    checkpoint = state(tmp_path)
    assert checkpoint["segexp"]["model"]["checkpointing"] is False  # as configured
    seen = [value for name, value in checkpoint["state_dict"].items() if name.endswith("num_batches_tracked")]
    assert {int(value) for value in seen} == {1 + 6 * 4}  # each patch once, whatever was done again


def test_where_nothing_is_left_the_run_ends_with_what_helps(tmp_path):
    with pytest.raises(ValueError, match=r"out of memory: a training step on 4 patches of .* asked for 20.00 GiB"):
        shortage(tmp_path, batch=3, patches=-1, backward=True)
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "failed"


def test_cases_are_predicted_by_fewer_tiles_and_nothing_else_changes(unbroken, tmp_path):
    shortage(tmp_path, tiles=1)
    assert changes(tmp_path) == [
        (0, None, "inference.predictor.batch_size=4", "inference.predictor.batch_size=2"),
        (0, None, "inference.predictor.batch_size=2", "inference.predictor.batch_size=1"),
    ]
    for first, second in zip(table(unbroken / "cases.csv"), table(tmp_path / "cases.csv"), strict=True):
        assert float(second["dice"]) == pytest.approx(float(first["dice"]), abs=1e-9)


@pytest.mark.slow
def test_then_by_smaller_ones_which_a_resumed_run_keeps(tmp_path):
    words = ["trainer.max_epochs=1", "inference.predictor.batch_size=1"]
    shortage(tmp_path, *words, side=24)
    tiles = [
        (0, None, "inference.predictor.tile=[32, 32]", "inference.predictor.tile=[16, 32]"),
        (0, None, "inference.predictor.tile=[16, 32]", "inference.predictor.tile=[16, 16]"),
    ]
    assert changes(tmp_path) == tiles
    assert state(tmp_path)[STATE]["tiles"] == {"tile": [16, 16]}
    shortage(tmp_path, *words, f"resume={tmp_path}", "trainer.max_epochs=2", side=24)
    assert changes(tmp_path) == tiles


def test_runs_that_stepped_down_are_told_apart(unbroken, tmp_path):
    shortage(tmp_path, "callbacks.ema.enabled=true", batch=10, patches=2)  # whose copy of the task steps down nowhere
    found = warnings(group(find_runs([str(unbroken), str(tmp_path)])))
    assert any(one.startswith("the steps down for lack of memory differ: smaller tiles, or") for one in found)


@pytest.mark.slow
def test_two_processes_step_down_together(tmp_path):
    """The second process runs out of memory; from the next epoch on the first one has its setting, too."""
    words = [*SMALL, *HERE, *WORDS, SHORTAGE, "+callbacks.shortage.batch=2", "+callbacks.shortage.patches=1"]
    words += ["+callbacks.shortage.rank=1"]
    done = python(tmp_path, ROOT / "train.py", *words, "trainer=ddp_cpu", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    assert changes(tmp_path / "run") == [(0, 2, "2 patches at once", "1 patch at once")]
    assert state(tmp_path / "run")[STATE]["micro_batch"] == 1


class Limit(pl.Callback):
    """Lets a process have no more memory, from a batch on, than a part of what a step takes.

    Args:
        batch: Batch of the run, counted over all epochs.
        mib: MiB of address space that are left.
    """

    def __init__(self, batch: int, mib: int) -> None:
        self.batch, self.mib = batch, mib

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch:
            with open("/proc/self/statm") as file:
                used = int(file.read().split()[0]) * resource.getpagesize()
            most = used + self.mib * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (most, most))


@pytest.mark.slow
def test_a_process_whose_memory_is_limited_within_a_run_goes_on(tmp_path):
    """A step takes 700 MiB, in maps that are given back after it: an allocation fails in the midst of the next one."""
    limit = ["+callbacks.limit._target_=tests.training.test_stepping_down.Limit", "+callbacks.limit.batch=1"]
    words = ["model.base_channels=16", "model.depth=2", "data.sampling.batch_size=32", "model.norm=instance"]
    words += ["data.sampling.patches_per_epoch=96", "data.sampling.num_workers=0", "trainer.max_epochs=1"]
    words += ["data.sampling.patch_size=[128,128]", "data.source.size=[128,128]", "trainer.precision=32-true"]
    words += ["callbacks.panels.enabled=false", "logger=none", *limit, "+callbacks.limit.mib=300"]
    words += ["performance.keep_memory=false"]  # kept, the maps of the first step would have room for the next one
    done = python(tmp_path, ROOT / "train.py", *SMALL, *HERE, *words, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    (first, *_) = changes(tmp_path / "run")
    assert first == (0, 1, "32 patches at once", "16 patches at once")
    assert state(tmp_path / "run")["global_step"] == 3
