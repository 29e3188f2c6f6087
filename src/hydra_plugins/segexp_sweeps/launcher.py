"""Launchers for ``-m``: each job in a fresh process. Hydra imports this file at every start, so it imports little."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LocalLauncher(Launcher):
    """Runs jobs as processes of this machine.

    Args:
        settings: Arguments of `segexp.sweeps.local.LocalEngine`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the configuration of the multirun; the jobs compose their own."""
        del task_function
        self.config, self.hydra_context = config, hydra_context

    def engine(self) -> Any:
        """Build the engine that runs the jobs."""
        from segexp.sweeps.local import LocalEngine

        return LocalEngine(**self.settings)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs."""
        del initial_job_idx
        from segexp.sweeps.launcher import launch

        return launch(self.config, self.engine(), job_overrides, self.composed)

    def composed(self, words: Sequence[str]) -> DictConfig:
        """Compose a job as its process would."""
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(words))


class SlurmLauncher(LocalLauncher):
    """Runs jobs on a SLURM cluster.

    Args:
        settings: Arguments of `segexp.sweeps.slurm.SlurmEngine`.
    """

    def engine(self) -> Any:
        """Build the engine that runs the jobs."""
        from segexp.sweeps.slurm import SlurmEngine

        return SlurmEngine(**self.settings)


class RayLauncher(LocalLauncher):
    """Runs jobs on a Ray cluster.

    Args:
        settings: Arguments of `segexp.sweeps.ray.RayEngine`.
    """

    def engine(self) -> Any:
        """Build the engine that runs the jobs."""
        from segexp.sweeps.ray import RayEngine

        return RayEngine(**self.settings)
