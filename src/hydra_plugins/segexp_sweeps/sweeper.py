"""The sweepers ``basic`` and ``optuna`` of ``-m``. Hydra imports this file at every start, so it imports little."""

from collections.abc import Mapping
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(Sweeper):
    """Runs all sets of overrides, whatever becomes of each, and sums them up once.

    Args:
        max_batch_size: Number of jobs that the launcher is given at a time; None = all.
        params: Swept overrides beside those of the command line, by key.
    """

    def __init__(self, max_batch_size: int | None = None, params: Mapping[str, Any] | None = None) -> None:
        self.max_batch_size = max_batch_size
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Settle the folder of the multirun and build the launcher."""
        from segexp.sweeps.grid import settle_folder

        settle_folder(config)
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the grid to its end."""
        from segexp.sweeps.grid import run_grid

        words = [f"{key}={value}" for key, value in self.params.items()] + arguments
        return run_grid(self.config, self.launcher, words, self.max_batch_size, self.validate_batch_is_legal)


class OptunaSweeper(Sweeper):
    """Search with Optuna.

    Args:
        settings: Arguments of `segexp.sweeps.search.search`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the configuration of the multirun and build the launcher, which knows the engine."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        """Run the study to its end."""
        from segexp.build import build_metrics, monitor_mode
        from segexp.sweeps.search import search

        if self.config.monitor_mode is None:
            metrics = build_metrics(self.config).values()
            self.config.monitor_mode = monitor_mode(self.config.monitor, metrics)
        search(self.config, self.launcher, arguments, self.validate_batch_is_legal, **self.settings)
