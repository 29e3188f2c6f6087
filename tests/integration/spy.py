"""Callbacks for tests: one notes rank and learning rate of each process, one plants faults."""

import os
import signal
from pathlib import Path

import torch
from pytorch_lightning import Callback


class RankNotes(Callback):
    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_start(self, trainer, pl_module) -> None:
        rate = trainer.optimizers[0].param_groups[0]["initial_lr"]
        (self.folder / f"rank{trainer.global_rank}.txt").write_text(f"{rate} {trainer.world_size}")


class Faults(Callback):
    """In the second epoch some runs raise, diverge, or are killed as if memory had run out."""

    def __init__(self, run: str, raises: str, diverges: str, killed: str) -> None:
        self.run, self.raises, self.diverges, self.killed = run, raises, diverges, killed

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        if trainer.current_epoch != 1:
            return
        if self.run == self.raises:
            raise RuntimeError("planted")
        if self.run == self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.run == self.diverges:
            with torch.no_grad():
                next(pl_module.network.parameters()).fill_(float("nan"))


class FaultOfRank(Callback):
    """One process of several fails in its second epoch, the others do not."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        if trainer.current_epoch == 1 and trainer.global_rank == self.rank:
            raise OSError("planted")
