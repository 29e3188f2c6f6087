"""An Optuna study whose trials are runs; its journal survives the driver."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import optuna
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from segexp.sweeps.jobs import Job
from segexp.sweeps.journal import open_journal
from segexp.sweeps.launcher import Sweep
from segexp.sweeps.ledger import DONE, FAILED, INTERRUPTED, PRUNED
from segexp.sweeps.objectives import Objective
from segexp.sweeps.pool import Tracked
from segexp.sweeps.space import Grid, Space, Value, overrides, suggest


@dataclass
class Group:
    """The runs of a trial, one or one per seed and fold.

    Args:
        jobs: Jobs of the runs.
        trials: Trials that share them, as proposals can be equal.
        ended: Runs that have ended.
    """

    jobs: list[Job]
    trials: list[Trial]
    ended: list[Tracked] = field(default_factory=list)


@dataclass(eq=False)
class Study:
    """Asks for trials, makes runs of them and reports how they ended.

    Args:
        sweep: Sweep that makes the runs.
        space: Distribution by key.
        fixed: Overrides of all trials.
        objectives: Metrics to optimize.
        monitor: Name of the objective that the validation curve shows.
        limit: Number of trials that end in all.
        sampler: Node of the sampler.
        pruner_node: Node of the pruner.

    Raises:
        ValueError: Sampler, pruner and objectives do not go together.
    """

    sweep: Sweep
    space: Space
    fixed: Sequence[str]
    objectives: Sequence[Objective]
    monitor: str
    limit: int
    sampler: DictConfig
    pruner_node: DictConfig

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.groups: list[Group] = []
        self.directions = [StudyDirection[item.direction.upper()] for item in self.objectives]
        self.grid: Grid | None = None
        if "space" in self.sampler:
            self.grid = instantiate(self.sampler, _partial_=True)(space=self.space)
        # A pruner needs one run per trial, whose curve is that of the only objective.
        alone = not self.sweep.settings["seeds"] and not self.sweep.settings["folds"]
        self.has_curve = alone and [item.name for item in self.objectives] == [self.monitor]
        self.pruner = instantiate(self.pruner_node)
        self._check_pruner()
        # Whether the sampler can search this space for these objectives shows in a proposal without a journal.
        trial = optuna.create_study(directions=self.directions, sampler=self._fresh_sampler(0))
        try:
            suggest(trial.ask(), self.space)
        except ValueError as error:
            raise ValueError(f"{self.sampler['_target_'].rpartition('.')[2]}: {error}") from error

    def _check_pruner(self) -> None:
        if isinstance(self.pruner, optuna.pruners.NopPruner) or self.has_curve:
            return
        name = self.objectives[0].name
        reason = "with sweep.seeds or sweep.folds: the runs of a trial follow one another and have no common curve"
        if len(self.objectives) > 1:
            reason = "with several objectives: Optuna prunes by one"
        elif name != self.monitor:
            reason = f"prunes by the curve of {self.monitor}, not of {name}: use that as objective"
        raise ValueError(f"{type(self.pruner).__name__} {reason}; or use hydra/sweeper/pruner=none")

    def open(self, path: Path) -> None:
        """Open the journal, or start it; the caller is its only driver.

        Raises:
            ValueError: It holds another study.
        """
        facts = {
            "objectives": [f"{item.direction} {item.name}" for item in self.objectives],
            "parameters": sorted(self.space),
            "fixed overrides": sorted(self.fixed),
            "replicates": {key: self.sweep.settings[key] for key in ("seeds", "folds")},
        }
        self.optuna = open_journal(path, self.space, facts, pruner=self.pruner, directions=self.directions)
        # The parameters of trials whose runs failed are queued once more, as new trials in their place.
        for trial in self._counted() if self.sweep.settings["retry"] == FAILED else ():
            if trial.state == TrialState.FAIL and any(item.state == FAILED for item in self._tracked(trial)):
                self.optuna.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number})

    def _counted(self) -> list[FrozenTrial]:
        """Trials that were begun, but for those that were queued once more."""
        trials = self.optuna.get_trials(deepcopy=False)
        replaced = {trial.user_attrs.get("retry_of") for trial in trials}
        return [trial for trial in trials if trial.state != TrialState.WAITING and trial.number not in replaced]

    def jobs(self) -> Iterator[Job]:
        """Runs of the trials that an earlier driver left at work, then of new ones, each when it is asked for."""
        for left in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.optuna.sampler = self._fresh_sampler(left.number)  # some parameters may not be drawn yet
            yield from self._begin(Trial(self.optuna, left._trial_id))
        while (trial := self._ask()) is not None:
            yield from self._begin(trial)

    def _ask(self) -> Trial | None:
        if len(self._counted()) >= self.limit:
            return None
        trials = self.optuna.get_trials(deepcopy=False)
        if self.grid is not None and all(trial.state != TrialState.WAITING for trial in trials):
            point = self.grid.next(trials)
            if point is None:
                return None
            self.optuna.enqueue_trial(point)
        self.optuna.sampler = self._fresh_sampler(len(trials))
        return self.optuna.ask()

    def _fresh_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Sampler for one trial.

        Its draws follow from the seed and the number alone, so that a resumed study neither repeats its first proposals
        nor differs from an unbroken one.
        """
        if self.grid is not None:  # the grid names all parameters itself
            return optuna.samplers.RandomSampler()
        seed = self.sampler.seed
        drawn = None if seed is None else int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # constant_liar before Optuna 5
            return instantiate(self.sampler, seed=drawn)

    def _begin(self, trial: Trial) -> list[Job]:
        """Make the runs of a trial; none where another trial at work has the same."""
        jobs = self._jobs(suggest(trial, self.space))
        trial.set_user_attr("runs", [job.name for job in jobs])
        for group in self.groups:
            if group.jobs == jobs:
                group.trials.append(trial)
                return []
        self.groups.append(Group(jobs, [trial]))
        return jobs

    def _jobs(self, params: Mapping[str, Value]) -> list[Job]:
        return self.sweep.jobs([*self.fixed, *overrides(params)], list(self.space))

    def on_epoch(self, item: Tracked, row: dict[str, str]) -> bool:
        """Report an epoch; True if the run is to be stopped."""
        return self._report(item, row) and all(trial.should_prune() for trial in self._group(item).trials)

    def _report(self, item: Tracked, row: dict[str, str]) -> bool:
        """Report an epoch to the trials that do not have it yet; False where there is nothing to report."""
        value = item.progress.value(row)
        if not self.has_curve or math.isnan(value):
            return False
        known = self.optuna.get_trials(deepcopy=False)
        for trial in self._group(item).trials:
            if int(row["epoch"]) not in known[trial.number].intermediate_values:
                trial.report(value, int(row["epoch"]))
        return True

    def on_end(self, item: Tracked) -> None:
        """Report the outcome of a trial once all its runs have ended."""
        for row in item.progress.rows:
            self._report(item, row)
        group = self._group(item)
        group.ended.append(item)
        if len(group.ended) < len(group.jobs):
            return
        self.groups.remove(group)
        states = {one.state for one in group.ended}
        if INTERRUPTED in states:
            return  # the trial stays at work, for the next driver
        # Values, if all its runs are done and have all metrics.
        values = None
        why = next((one.why for one in group.ended if one.state == FAILED), "")
        if states == {DONE}:
            try:
                values = [objective.value(group.jobs) for objective in self.objectives]
            except ValueError as error:
                why = str(error)
        # A trial of which one run was pruned, and none failed, is pruned.
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        if PRUNED in states and FAILED not in states:
            state = TrialState.PRUNED
        for trial in group.trials:
            if why:
                trial.set_user_attr("why", why.splitlines()[0])
            self.optuna.tell(trial, values, state=state, skip_if_finished=True)

    def _group(self, item: Tracked) -> Group:
        return next(group for group in self.groups if any(job is item.job for job in group.jobs))

    def runs(self) -> list[Job]:
        """Runs of all trials that were begun."""
        return [job for trial in self._counted() for job in self._jobs(trial.params)]

    def ended(self) -> list[Tracked]:
        """Runs of all trials; those of a failed trial say why."""
        return [item for trial in self._counted() for item in self._tracked(trial, blame=True)]

    def _tracked(self, trial: FrozenTrial, blame: bool = False) -> list[Tracked]:
        """Runs of a trial with their last state in the ledger.

        With ``blame`` the first run counts as failed where all ran to their end and the trial still failed.
        """
        entries = self.sweep.ledger.entries()
        jobs = self._jobs(trial.params)
        items = [Tracked(job, entries[job.id].state, entries[job.id].why) for job in jobs if job.id in entries]
        if blame and trial.state == TrialState.FAIL and items and all(item.state != FAILED for item in items):
            items[0].state = FAILED
            items[0].why = trial.user_attrs.get("why", "")
        return items
