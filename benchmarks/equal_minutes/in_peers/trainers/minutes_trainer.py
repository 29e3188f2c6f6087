"""nnU-Net's trainer, ended by the clock. nnU-Net finds it by the variable nnUNet_extTrainer."""

import json
import os
import time
from pathlib import Path

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

EPOCHS = 10  # parts of the time after each of which nnU-Net validates and writes
LEAST_STEPS = 5  # of a part: nnU-Net validates once for five steps


class MinutesTrainer(nnUNetTrainer):
    """All as in nnU-Net, but its polynomial schedule runs over the seconds until EQUAL_MINUTES_END instead of steps.

    The whole run of `nnUNetv2_train` counts. The last prediction of the validation cases is left out: it chooses
    between configurations, and there is one.
    """

    def run_training(self) -> None:
        """Train until the clock says so, then note the number of steps and of trainable parameters."""
        self.on_train_start()
        self.start, self.end, self.steps = time.time(), float(os.environ["EQUAL_MINUTES_END"]), 0
        self.longest_step = 0.0
        self._best_ema = float("inf")  # no time goes to a best checkpoint: the last one is used, as nnU-Net does
        while not self.over():
            self.one_epoch()
        self.on_train_end()
        parameters = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
        facts = {"steps": self.steps, "parameters": parameters}
        Path(os.environ["EQUAL_MINUTES_RECORD"]).write_text(json.dumps(facts))

    def one_epoch(self) -> None:
        """Train for a part of the time, and validate one step for every five."""
        epoch_end = time.time() + (self.end - self.start) / EPOCHS
        self.on_epoch_start()
        self.on_train_epoch_start()
        outputs = []
        while not outputs or not (self.over() or (time.time() > epoch_end and len(outputs) >= LEAST_STEPS)):
            began = time.time()
            self.follow_clock()
            outputs.append(self.train_step(next(self.dataloader_train)))
            self.longest_step = max(self.longest_step, time.time() - began) if self.steps else 0.0
            self.steps += 1
        self.on_train_epoch_end(outputs)
        with torch.no_grad():
            self.on_validation_epoch_start()
            rounds = max(1, len(outputs) // 5)
            self.on_validation_epoch_end([self.validation_step(next(self.dataloader_val)) for _ in range(rounds)])
        self.on_epoch_end()

    def follow_clock(self) -> None:
        """Set the learning rate by the fraction of the time that is gone."""
        gone = min(1.0, (time.time() - self.start) / max(self.end - self.start, 1e-6))
        for group in self.optimizer.param_groups:
            group["lr"] = self.initial_lr * (1 - gone) ** 0.9

    def over(self) -> bool:
        """Whether another step would not fit."""
        return time.time() + self.longest_step >= self.end

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Leave out the validation that chooses between configurations."""
