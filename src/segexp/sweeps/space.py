"""The search space: Hydra's sweep syntax as Optuna's distributions, and trials as overrides."""

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial

from segexp.sweeps.jobs import REPLICATES, job_overrides

Space = dict[str, BaseDistribution]
Value = bool | int | float | str | None


def read_space(words: Iterable[str]) -> tuple[Space, list[str]]:
    """Separate what is searched from what is fixed.

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
        For ``choice`` and ``a,b`` (and a shuffled range) the values; for ``range`` integers or floats with a step, its
        stop left out as Hydra does; for ``interval`` both ends included, on a log scale if tagged ``log``.

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


def _plain(value: Any) -> Value:
    """Keep numbers, booleans and null; write all else as in an override."""
    return value if value is None or isinstance(value, bool | int | float) else Transformer.str(value)


def overrides(params: Mapping[str, Value]) -> list[str]:
    """Write parameters as Hydra's overrides; floats keep all their digits."""
    return [f"{key}={_written(value)}" for key, value in params.items()]


def _written(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def suggest(trial: Trial, space: Space) -> dict[str, Value]:
    """Parameters of a trial: those it has already, the others as the sampler proposes."""
    params: dict[str, Value] = {}
    for key, values in space.items():
        if isinstance(values, CategoricalDistribution):
            params[key] = trial.suggest_categorical(key, values.choices)
        elif isinstance(values, IntDistribution):
            params[key] = trial.suggest_int(key, values.low, values.high, step=values.step, log=values.log)
        elif isinstance(values, FloatDistribution):
            params[key] = trial.suggest_float(key, values.low, values.high, step=values.step, log=values.log)
    return params


def examples(space: Space) -> list[dict[str, Value]]:
    """Few parameter sets in which each choice, and one number of each interval, occurs."""
    columns: dict[str, Sequence[Value]] = {
        key: item.choices if isinstance(item, CategoricalDistribution) else [item.low]  # type: ignore[attr-defined]
        for key, item in space.items()
    }
    most = max(len(column) for column in columns.values())
    return [{key: column[index % len(column)] for key, column in columns.items()} for index in range(most)]


def describe(space: Space) -> str:
    """Describe the space in a sentence."""
    return ", ".join(f"{key} {_described(values)}" for key, values in space.items())


def _described(values: BaseDistribution) -> str:
    if isinstance(values, CategoricalDistribution):
        return f"({', '.join(map(_written, values.choices))})"
    assert isinstance(values, IntDistribution | FloatDistribution)
    step = f" in steps of {values.step}" if values.step not in (None, 1) else ""
    return f"({values.low} to {values.high}{step}{', log scale' if values.log else ''})"


class Grid:
    """All combinations of a space, each tried once.

    Optuna's own GridSampler works in ``study.optimize`` only: it stops a loop that ask and tell do not have.

    Args:
        space: Space of choices, ranges and integers.
        seed: Seed of the order in which they are tried; None = a different order each time.

    Raises:
        ValueError: A parameter is continuous.
    """

    def __init__(self, space: Space, seed: int | None = 0) -> None:
        columns = [_all_values(key, values) for key, values in space.items()]
        self.points = [dict(zip(space, point, strict=True)) for point in itertools.product(*columns)]
        random.Random(seed).shuffle(self.points)

    def next(self, trials: Sequence[FrozenTrial]) -> dict[str, Value] | None:
        """Return the first point that no trial has, failed ones included; None when all have been tried."""
        tried = {_key(trial.params) for trial in trials}
        return next((point for point in self.points if _key(point) not in tried), None)


def _key(params: Mapping[str, Value]) -> frozenset[str]:
    return frozenset(overrides(params))


def _all_values(key: str, values: BaseDistribution) -> list[Value]:
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
