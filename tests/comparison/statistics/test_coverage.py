"""Do intervals cover the truth, and are claims false no more often than they say? Measured in simulated worlds.

`python -m tests.comparison.statistics.test_coverage` measures with more repetitions, also
what was tried and not taken, and writes the tables of docs/comparison_statistics.md.
"""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from segexp.comparison.statistics.comparison import Comparison, compare, verdict
from segexp.comparison.statistics.intervals import Interval, weighted_interval
from segexp.comparison.statistics.scores import Scores
from tests.comparison.statistics.tables import mean_interval

REPETITIONS = 1000
NOISE = 0.007  # one standard error of 1,000 repetitions at 95 %
BAND = (0.93 - NOISE, 0.97 + NOISE)
MOST_FALSE = stats.binom.ppf(0.99, REPETITIONS, 0.05) / REPETITIONS  # 6.6 %: 5 % and the noise of 1,000 repetitions
DOCS = Path(__file__).parents[2] / "docs" / "comparison_statistics.md"


@dataclass(frozen=True)
class World:
    """Scores as sums of normal effects; on the logit scale where ``skewed``."""

    cases: int = 50
    seeds: int = 1
    folds: int = 1
    case: float = 1.0  # sd between cases
    response: float = 0.0  # sd of how differently cases respond to two experiments
    training: float = 0.0  # sd between runs, common to all cases of a run
    seed: float = 0.0  # sd between seeds, common to all folds
    fold: float = 0.0  # sd between training sets, for each experiment its own
    noise: float = 0.5  # sd of a case from run to run
    shift: float = 0.0  # of experiment B
    unstable: float = 0.0  # sd between runs of experiment B, beside ``training``
    skewed: bool = False

    def __post_init__(self):
        assert self.cases % self.folds == 0

    def truth(self, shift: float = 0.0) -> float:
        if not self.skewed:
            return shift
        parts = (self.case, self.response / 2**0.5, self.training, self.seed, self.fold, self.noise)
        points, weights = np.polynomial.hermite_e.hermegauss(80)
        values = dice(shift + np.sqrt(np.sum(np.square(parts))) * points)
        return float(values @ weights / weights.sum())

    def draw(self, rng: np.random.Generator, cases: np.ndarray, shift: float = 0.0) -> Scores:
        """Draw an experiment on given cases."""
        folds = np.arange(self.cases) * self.folds // self.cases
        runs = rng.normal(0, self.training, (self.seeds, self.folds)) + rng.normal(0, self.fold, self.folds)
        scores = cases + rng.normal(0, self.response / 2**0.5, self.cases) + runs[:, folds] + shift
        scores = scores + rng.normal(0, self.seed, (self.seeds, 1)) + rng.normal(0, self.noise, scores.shape)
        names = tuple(map(str, range(self.cases)))
        return Scores(dice(scores) if self.skewed else scores, names, folds, self.seeds * self.folds)

    def experiments(self, repetitions: int = REPETITIONS) -> Iterator[Scores]:
        rng = np.random.default_rng(0)
        for _ in range(repetitions):
            yield self.draw(rng, rng.normal(0, self.case, self.cases))

    def pairs(self, repetitions: int = REPETITIONS) -> Iterator[tuple[Scores, Scores]]:
        rng = np.random.default_rng(1)
        for _ in range(repetitions):
            cases = rng.normal(0, self.case, self.cases)
            other = replace(self, training=(self.training**2 + self.unstable**2) ** 0.5)
            yield self.draw(rng, cases), other.draw(rng, cases, self.shift)


def dice(logits):
    """Scores in [0, 1], most of them near 0.93, with a tail to the left."""
    return 1 / (1 + np.exp(-2.6 - logits))


MEANS = {
    "one run, 50 cases": World(),
    "one run, 10 cases": World(cases=10),
    "3 seeds, no seed effect": World(seeds=3),
    "3 seeds, small seed effect": World(seeds=3, training=0.1),
    "3 seeds, seed effect": World(seeds=3, training=0.25),
    "3 seeds, large seed effect": World(seeds=3, training=1),
    "3 seeds, 10 cases": World(cases=10, seeds=3, training=0.3),
    "3 seeds × 5 folds": World(seeds=3, folds=5, training=0.2, fold=0.2),
    "3 seeds × 5 folds, a seed acts on all folds": World(seeds=3, folds=5, training=0.2, fold=0.2, seed=0.1),
    "3 seeds × 5 folds, 250 cases": World(cases=250, seeds=3, folds=5, training=0.2, fold=0.2),
    "3 seeds × 3 folds, 60 cases": World(cases=60, seeds=3, folds=3, training=0.2, fold=0.2),
    "1 seed × 5 folds": World(folds=5, training=0.2, fold=0.2),
    "Dice near 1, one run, 50 cases": World(skewed=True),
    "Dice near 1, one run, 20 cases": World(cases=20, skewed=True),
    "Dice near 1, 3 seeds, 50 cases": World(seeds=3, training=0.2, skewed=True),
    "Dice near 1, 3 seeds, 10 cases": World(cases=10, seeds=3, training=0.2, skewed=True),
}
OUTSIDE = {  # worlds that miss the band, and how
    "3 seeds × 5 folds, no fold effect": (World(seeds=3, folds=5, training=0.2), 0.965, 0.99),
    "3 seeds × 5 folds, large fold effect": (World(cases=250, seeds=3, folds=5, fold=0.5), 0.91, 0.97),
    "2 seeds, seed effect": (World(seeds=2, training=0.25), 0.93, 0.98),
    "Dice near 1, one run, 10 cases": (World(cases=10, skewed=True), 0.88, 0.95),
    "one run, seed effect": (World(training=0.25), 0.5, 0.8),
}
PAIRS = {
    "one run per side": World(response=0.5),
    "one run per side, 10 cases": World(cases=10, response=0.5),
    "3 seeds, seed effect": World(seeds=3, training=0.25, response=0.5),
    "3 seeds, large seed effect": World(seeds=3, training=0.5, response=0.5),
    "3 seeds, A stable, B not": World(seeds=3, training=0.1, unstable=0.4, response=0.5),
    "5 seeds, seed effect": World(seeds=5, training=0.2, response=0.5),
    "1 seed × 5 folds": World(folds=5, training=0.2, fold=0.1, response=0.5),
    "Dice near 1, one run per side": World(response=0.5, skewed=True),
    "same procedure, 3 seeds": World(seeds=3, training=0.2),
}
SAFE = {  # wider than they need to be
    "3 seeds, no seed effect": World(seeds=3, response=1),
    "3 seeds, small seed effect": World(seeds=3, training=0.1, response=0.5),
    "3 seeds, 10 cases": World(cases=10, seeds=3, training=0.3, response=0.5),
    "3 seeds × 5 folds": World(seeds=3, folds=5, training=0.2, fold=0.1, response=0.5),
    "3 seeds × 3 folds, 60 cases": World(cases=60, seeds=3, folds=3, training=0.2, fold=0.1, response=0.5),
    "Dice near 1, 3 seeds": World(seeds=3, training=0.1, response=0.5, skewed=True),
    "same procedure, 2 seeds": World(seeds=2, training=0.2),
    "same procedure, 3 seeds, no seed effect": World(seeds=3),
    "same procedure, 3 seeds × 5 folds": World(seeds=3, folds=5, training=0.2),
}
QUICK = {  # the rest is slow
    "one run, 50 cases",
    "Dice near 1, one run, 50 cases",
    "Dice near 1, one run, 10 cases",
    "one run per side",
}


def worlds(*tables: dict[str, World]) -> pytest.MarkDecorator:
    named = {name: world for table in tables for name, world in table.items()}
    marks = {name: () if name in QUICK else pytest.mark.slow for name in named}
    return pytest.mark.parametrize("world", [pytest.param(w, id=n, marks=marks[n]) for n, w in named.items()])


def covered(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


def measure_mean(world: World, repetitions: int, method: Callable[[Scores], Interval] = mean_interval) -> float:
    return covered([method(table) for table in world.experiments(repetitions)], world.truth())


def measure_difference(world: World, repetitions: int) -> float:
    """Coverage of a known difference, half the sd between cases."""
    world = replace(world, shift=0.5)
    found = [weighted_interval(pair, [-1, 1]) for pair in world.pairs(repetitions)]
    return covered(found, world.truth(world.shift) - world.truth())


@lru_cache(maxsize=2)
def measure_nothing(world: World, repetitions: int) -> list[Comparison]:
    """Comparisons where there is no difference."""
    return [compare(*pair) for pair in world.pairs(repetitions)]


def claimed(found: list[Comparison]) -> float:
    """Share of the sentences that call one of the two methods better."""
    return float(np.mean(["is better" in verdict(item) for item in found]))


@worlds(MEANS)
def test_the_interval_of_a_mean_covers_the_truth(world):
    assert BAND[0] <= measure_mean(world, REPETITIONS) <= BAND[1]


@pytest.mark.parametrize(
    ("world", "low", "high"),
    [pytest.param(*row, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, row in OUTSIDE.items()],
)
def test_worlds_outside_the_band_are_where_the_docs_put_them(world, low, high):
    assert low <= measure_mean(world, REPETITIONS) <= high


@worlds(PAIRS)
def test_the_interval_of_a_known_difference_covers_it(world):
    assert BAND[0] <= measure_difference(world, REPETITIONS) <= BAND[1]


@worlds(SAFE)
def test_where_a_difference_misses_the_band_its_interval_is_too_wide_not_too_narrow(world):
    assert 0.95 <= measure_difference(world, REPETITIONS) <= 0.995


@worlds(PAIRS, SAFE)
def test_a_false_better_is_said_in_at_most_five_percent(world):
    assert claimed(measure_nothing(world, REPETITIONS)) <= MOST_FALSE


@pytest.mark.parametrize("cases", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_p_values_are_uniform_under_no_difference_with_one_run_per_side(cases):
    found = measure_nothing(World(cases=cases, response=0.5), REPETITIONS)
    for figure in ("p_wilcoxon", "p_permutation", "p_holm"):
        p = [getattr(item, figure) for item in found]
        assert stats.kstest(p, "uniform").pvalue > 0.01, figure


@pytest.mark.parametrize("training", [0.2, pytest.param(1.0, marks=pytest.mark.slow)])
def test_p_values_with_seed_effects_are_never_much_too_small(training):
    p = np.array([item.p_holm for item in measure_nothing(World(seeds=3, training=training), REPETITIONS)])
    for level in (0.01, 0.05, 0.1, 0.2, 0.5):
        assert np.mean(p <= level) <= stats.binom.ppf(0.999, REPETITIONS, level) / REPETITIONS


def test_tests_over_cases_alone_would_take_luck_of_training_for_a_difference():
    found = measure_nothing(World(seeds=3, training=0.25), 300)
    assert np.mean([item.p_wilcoxon <= 0.05 for item in found]) > 0.4
    assert claimed(found) <= 0.1


def test_one_run_per_side_is_fooled_by_training_and_says_so():
    found = measure_nothing(World(training=0.25, response=0.5), 300)
    assert np.mean([item.claimed for item in found]) > 0.2  # of the networks, which do differ
    assert claimed(found) == 0
    assert all("training randomness is not in the interval" in verdict(item) for item in found)


def percentile(table: Scores, resamples: int = 1000) -> Interval:
    """Plain hierarchical bootstrap, which was tried and not taken: seeds and cases with replacement."""
    rows, columns = (shares(size, resamples, seed) for seed, size in enumerate(table.values.shape))
    low, high = np.quantile(((rows @ table.values) * columns).sum(1), [0.025, 0.975])
    return replace(mean_interval(table, resamples=0), low=low, high=high)


@lru_cache
def shares(size: int, resamples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), resamples) / size


def bca(table: Scores) -> Interval:
    """Bias-corrected and accelerated bootstrap over cases, which was tried and not taken."""
    found = stats.bootstrap((table.case_means,), np.mean, n_resamples=999, rng=0, method="BCa").confidence_interval
    return replace(mean_interval(table, resamples=0), low=found.low, high=found.high)


def welch(table: Scores) -> Interval:
    """The same parts with one Welch-Satterthwaite t, which was tried and not taken."""
    found = mean_interval(table, resamples=0)
    variances = np.array([part.variance for part in found.parts])
    df = variances.sum() ** 2 / sum(part.variance**2 / part.df for part in found.parts)
    half = stats.t.ppf(0.975, df) * found.se
    return replace(found, low=found.value - half, high=found.value + half)


def write_docs(repetitions: int) -> None:
    """Measure all worlds and put the tables between the markers of the page."""
    methods = {"bootstrap-t (taken)": mean_interval, "t": lambda t: mean_interval(t, resamples=0)}
    methods |= {"Welch": welch, "percentile": percentile, "BCa": bca}
    lines = [f"Mean, {repetitions:,} repetitions (BCa 1,000):", "", row("world", *methods), row(*["---"] * 6)]
    for name, world in {**MEANS, **{name: found[0] for name, found in OUTSIDE.items()}}.items():
        sizes = [1000 if method is bca else repetitions for method in methods.values()]
        measured = [measure_mean(world, n, m) for n, m in zip(sizes, methods.values(), strict=True)]
        lines.append(row(name, *map(percent, measured)))
        print(lines[-1], flush=True)
    heads = ("covers a known difference", "p ≤ 0.05", 'false "better"', "Wilcoxon p ≤ 0.05", "permutation p ≤ 0.05")
    lines += ["", f"Difference, {repetitions:,} repetitions:", "", row("world", *heads), row(*["---"] * 6)]
    for name, world in {**PAIRS, **SAFE, "one run per side, seed effect": World(training=0.25, response=0.5)}.items():
        found = measure_nothing(world, repetitions)
        tests = [np.mean([getattr(item, p) <= 0.05 for item in found]) for p in ("p_wilcoxon", "p_permutation")]
        networks = np.mean([item.claimed for item in found])
        measured = [measure_difference(world, repetitions), networks, claimed(found), *tests]
        lines.append(row(name, *map(percent, measured)))
        print(lines[-1], flush=True)
    text = "<!-- coverage -->\n" + "\n".join(lines) + "\n<!-- /coverage -->"
    DOCS.write_text(re.sub(r"<!-- coverage -->.*<!-- /coverage -->", text, DOCS.read_text(), flags=re.S))


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    write_docs(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
