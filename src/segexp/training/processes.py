"""The processes of a training: they stop after the same batch, and one that dies ends the run with its cause."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies.launchers import subprocess_script

from segexp import stopping
from segexp.runs.folder import RunFolder
from segexp.training.last_checkpoint import LastCheckpoint
from segexp.writing import remove

POLL_SECONDS = 0.3
ALONE_SECONDS = 3.0  # for which the first process may find out itself, and name the cause better


class StopAtSignal(Callback):
    """The one place where a signal becomes the end of a training: after the same batch in all processes."""

    def on_train_batch_start(self, *_: Any) -> None:
        """Let a signal wait for the end of the batch."""
        stopping.defer()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop where a signal has come to the first process, with a checkpoint, once an optimizer step is complete."""
        number = _agreed(trainer)
        if number and not trainer.is_last_batch:
            if trainer.fit_loop._should_accumulate():
                return
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, LastCheckpoint):
                    callback.save_within_epoch(trainer)
        stopping.check(number)

    def on_train_epoch_end(self, *_: Any) -> None:
        """Let a signal wait for the checkpoint of the epoch, which other callbacks write after this one."""
        stopping.defer()

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop where a signal has come since the last batch."""
        stopping.check(_agreed(trainer))

    def on_train_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop where a signal has come in the last epoch."""
        stopping.check(_agreed(trainer))

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop also where the exception that told of the signal was lost."""
        if trainer.is_global_zero:
            stopping.check()

    def on_test_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """The same, of the final scoring."""
        self.on_validation_batch_end(trainer, *args)


def _agreed(trainer: pl.Trainer) -> int:
    """Number of the signal that has come to the first process, in all processes the same; 0 = none."""
    number = stopping.requested()
    if trainer.world_size > 1:
        agreed = torch.tensor(number, device=trainer.strategy.root_device)
        torch.distributed.broadcast(agreed, src=0)
        number = int(agreed)
    return number


def leave_signals(trainer: pl.Trainer) -> None:
    """Keep Lightning from its own answers to signals and to the death of a process.

    Its handler of SIGTERM broadcasts from inside of whatever the process does, out of step with the other processes,
    which then wait for each other forever; its observer kills the first process, without a word, when another one died.
    """
    trainer._signal_connector.register_signal_handlers = _do_nothing  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _do_nothing  # type: ignore[method-assign]
    subprocess_script._launch_process_observer = _do_nothing  # type: ignore[assignment]


def _do_nothing(*_: object) -> None:
    """Stand in for a function of Lightning, also in a process that receives the trainer by pickle."""


@contextmanager
def watched(trainer: pl.Trainer, folder: RunFolder) -> Iterator[None]:
    """Inside, the death of another process of this machine ends the run, and the end of the run ends the others.

    Args:
        trainer: Trainer that starts the processes; of one process there is nothing to watch.
        folder: Folder of the run, where a process leaves word of why it failed.

    Raises:
        ChildProcessError: Another process has died; names it and the cause.
    """
    launcher: Any = trainer.strategy.launcher
    if trainer.world_size == 1 or launcher is None or not trainer.is_global_zero:
        yield
        return
    ended = threading.Event()
    threading.Thread(target=_watch, args=(launcher, folder, ended), daemon=True).start()
    with stopping.last_words(lambda _: _kill(launcher)):
        try:
            yield
        except BaseException as error:
            # A process that died breaks the connections of the others, who would complain of that.
            lost = _wait_for_death(launcher, folder) if _is_of_connection(error) else ""
            _kill(launcher)
            if lost:
                raise ChildProcessError(lost) from error
            raise
        finally:
            ended.set()
            for rank in range(1, trainer.world_size):
                remove(folder.fault_path(os.getpid(), rank))


@contextmanager
def following(folder: RunFolder, rank: int) -> Iterator[None]:
    """Inside, this process beside the first leaves signals to the first one, and word of why it failed.

    Args:
        folder: Folder of the run.
        rank: Number of this process.
    """
    stopping.follow()
    fault = folder.fault_path(os.getppid(), rank)  # that of no later run, which has another first process
    try:
        yield
    except Exception as error:
        if folder.path.is_dir() and not _is_of_connection(error):
            fault.write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        time.sleep(ALONE_SECONDS + 2)  # the first process ends this one, or has failed in the same way
        raise


def _is_of_connection(error: BaseException) -> bool:
    """Whether an error tells of other processes: gloo raises plain RuntimeErrors, which name its files."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


def _watch(launcher: Any, folder: RunFolder, ended: threading.Event) -> None:
    while not ended.wait(POLL_SECONDS):
        if _death(launcher, folder) and not ended.wait(ALONE_SECONDS):
            stopping.end_at_once(ChildProcessError(_death(launcher, folder)), 1)


def _wait_for_death(launcher: Any, folder: RunFolder) -> str:
    until = time.monotonic() + ALONE_SECONDS
    while not (found := _death(launcher, folder)) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def _death(launcher: Any, folder: RunFolder) -> str:
    """Say which process has died and why; empty while all live or have ended well."""
    for rank, process in enumerate(launcher.procs, 1):
        name = f"rank {rank} of {len(launcher.procs) + 1} (process {process.pid})"
        fault = folder.fault_path(os.getpid(), rank)
        status = process.poll() if hasattr(process, "poll") else process.exitcode
        if fault.is_file():
            return f"{name} failed: {fault.read_text(encoding='utf-8')}"
        if status is not None and status < 0:
            memory = ", as when memory runs out" if -status == signal.SIGKILL else ""
            return f"{name} was killed by {signal.Signals(-status).name}{memory}"
        if status:
            return f"{name} ended with status {status}"
    return ""


def _kill(launcher: Any) -> None:
    with suppress(ProcessLookupError):
        launcher.kill(signal.SIGKILL)
