"""The search space: Hydra's sweep syntax as Optuna's distributions, and trials as overrides."""

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial

from segexp.sweeps.jobs import job_overrides

Space = dict[str, BaseDistribution]
REPLICATES = {"seed": "sweep.seeds", "data.split.fold": "sweep.folds"}


def read_space(words: Iterable[str]) -> tuple[Space, list[str]]:
    """Tell what is searched from what is fixed.

    Args:
        words: Overrides; of those with the same key the last one counts.

    Returns:
        Distributions by key, and the fixed overrides.

    Raises:
        ValueError: Nothing is searched, a seed or fold is, or bounds are impossible.
    """
    parsed = OverridesParser.create().parse_overrides(list(job_overrides(list(words))))
    last = {item.get_key_element(): item for item in parsed}
    space = {key: distribution(item) for key, item in last.items() if item.is_sweep_override()}
    if not space:
        raise ValueError(
            "hydra/sweeper=optuna: nothing to search for; give a key several values, "
            "such as 'optimizer.lr=tag(log,interval(1e-4,1e-1))' or loss=ce,dice"
        )
    for key, instead in REPLICATES.items():
        if key in space:
            raise ValueError(f"{last[key].input_line}: {key} repeats an experiment and is not searched; use {instead}")
    return space, [str(item.input_line) for key, item in last.items() if key not in space]


def distribution(override: Override) -> BaseDistribution:
    """Optuna's distribution of one swept key.

    Returns:
        Of ``choice`` and ``a,b`` (and a shuffled range) the values; of ``range`` whole or broken numbers with a step,
        its stop left out as Hydra does; of ``interval`` both ends included, on a log scale if tagged ``log``.

    Raises:
        ValueError: The bounds are impossible, such as a logarithm of 0.
    """
    value: Any = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return _numbers(value.start, value.end, log="log" in value.tags)
        if override.is_range_sweep() and not value.shuffle:
            steps: list[Any] = sorted(override.sweep_iterator())
            return _numbers(steps[0], steps[-1], step=abs(value.step))
        return CategoricalDistribution([_plain(item) for item in override.sweep_iterator()])
    except (ValueError, IndexError) as error:
        raise ValueError(f"{override.input_line}: no such values; {error}") from error


def _numbers(low: Any, high: Any, step: Any = None, log: bool = False) -> BaseDistribution:
    if all(isinstance(value, int) for value in (low, high, step or 1)):
        return IntDistribution(low, high, step=step or 1, log=log)
    return FloatDistribution(float(low), float(high), step=step, log=log)


def _plain(value: Any) -> Any:
    """Numbers, truth values and null as they are; all else as it is written in an override."""
    return value if value is None or isinstance(value, bool | int | float) else Transformer.str(value)


def overrides(params: Mapping[str, Any]) -> list[str]:
    """Write parameters as Hydra's overrides; floats keep all their digits."""
    return [f"{key}={_written(value)}" for key, value in params.items()]


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def suggest(trial: Trial, space: Space) -> dict[str, Any]:
    """Parameters of a trial: those it has already, the others as the sampler proposes."""
    return {key: _suggest(trial, key, values) for key, values in space.items()}


def _suggest(trial: Trial, key: str, values: BaseDistribution) -> Any:
    if isinstance(values, CategoricalDistribution):
        return trial.suggest_categorical(key, values.choices)
    if isinstance(values, IntDistribution):
        return trial.suggest_int(key, values.low, values.high, step=values.step, log=values.log)
    assert isinstance(values, FloatDistribution)
    return trial.suggest_float(key, values.low, values.high, step=values.step, log=values.log)


def examples(space: Space) -> list[dict[str, Any]]:
    """Few parameter sets in which each choice, and one number of each interval, occurs."""
    values = {key: _example_values(item) for key, item in space.items()}
    most = max(len(found) for found in values.values())
    return [{key: found[index % len(found)] for key, found in values.items()} for index in range(most)]


def _example_values(values: BaseDistribution) -> Sequence[Any]:
    return values.choices if isinstance(values, CategoricalDistribution) else [values.low]  # type: ignore[attr-defined]


def described(space: Space) -> str:
    """The space in words."""
    return ", ".join(f"{key} {_described(values)}" for key, values in space.items())


def _described(values: BaseDistribution) -> str:
    if isinstance(values, CategoricalDistribution):
        return f"({', '.join(overrides({'': item})[0][1:] for item in values.choices)})"
    assert isinstance(values, IntDistribution | FloatDistribution)
    step = f" in steps of {values.step}" if values.step not in (None, 1) else ""
    return f"({values.low} to {values.high}{step}{', log scale' if values.log else ''})"


class Grid:
    """All combinations of a space, each to be tried once.

    Optuna's own GridSampler works in ``study.optimize`` only: it stops a loop that ask and tell do not have.

    Args:
        space: Of choices, ranges and integers.
        seed: Of the order in which they are tried; None = a different one each time.

    Raises:
        ValueError: A parameter is continuous.
    """

    def __init__(self, space: Space, seed: int | None = 0) -> None:
        columns = [_all_values(key, values) for key, values in space.items()]
        self.points = [dict(zip(space, point, strict=True)) for point in itertools.product(*columns)]
        random.Random(seed).shuffle(self.points)

    def next(self, trials: Sequence[FrozenTrial]) -> dict[str, Any] | None:
        """Return the first point that no trial has, whatever became of it; None when all have been tried."""
        tried = {_key(trial.params) for trial in trials}
        return next((point for point in self.points if _key(point) not in tried), None)


def _key(params: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(overrides(params))


def _all_values(key: str, values: BaseDistribution) -> list[Any]:
    if isinstance(values, CategoricalDistribution):
        return list(values.choices)
    if isinstance(values, IntDistribution):
        return list(range(values.low, values.high + 1, values.step))
    assert isinstance(values, FloatDistribution)
    if values.step is None:
        raise ValueError(
            f"hydra/sweeper/sampler=grid: {key} is continuous, {_described(values)}; "
            "write choice(…) or range(…, …, step), or use another sampler"
        )
    count = round((values.high - values.low) / values.step)
    return [min(values.low + index * values.step, values.high) for index in range(count + 1)]
