"""The sweeper behind ``hydra/sweeper=optuna``. Hydra imports this file at every start, so it imports little."""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


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
        from segexp.build import monitor_mode
        from segexp.sweeps.search import search

        if self.config.monitor_mode is None:
            self.config.monitor_mode = monitor_mode(self.config.monitor, self.config.metrics)
        search(self.config, self.launcher, arguments, self.validate_batch_is_legal, **self.settings)
