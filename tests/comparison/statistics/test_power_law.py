"""The law against known ones, its intervals against a search over all laws, and how often they cover the truth.

`python -m tests.comparison.statistics.test_power_law 600` measures with more repetitions, in more worlds.
"""

import math
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from segexp.comparison.statistics.power_law import fit, points_of, refusal
from segexp.comparison.statistics.scores import Scores

SIZES = (20, 40, 80, 140, 200)


@dataclass(frozen=True)
class World:
    """Scores of runs around a law."""

    a: float = 0.9
    b: float = 1.0
    c: float = 0.5
    sizes: tuple[int, ...] = SIZES
    seeds: int = 3
    cases: int = 50
    case: float = 0.06  # sd between cases, the same at all sizes
    response: float = 0.02  # sd of how differently cases respond to the sizes
    run: float = 0.01  # sd between runs
    noise: float = 0.02  # sd of a case from run to run
    luck: float = 0.0  # sd between training sets, which all seeds share
    falls: float = 0.0  # power by which the noise of training falls with the size

    def at(self, size):
        return self.a - self.b * size**-self.c

    def draw(self, rng):
        """Draw one table per size."""
        base, tables = rng.normal(0, self.case, self.cases), []
        for size in self.sizes:
            scale = (size / self.sizes[-1]) ** -self.falls
            runs = rng.normal(0, self.run * scale, (self.seeds, 1)) + rng.normal(0, self.luck * scale)
            noise = rng.normal(0, self.noise * scale, (self.seeds, self.cases))
            values = self.at(size) + base + rng.normal(0, self.response, self.cases) + runs + noise
            names = tuple(f"{number:03d}" for number in range(self.cases))
            tables.append(Scores(values, names, np.zeros(self.cases, dtype=np.intp), self.seeds))
        return tables

    def points(self, rng):
        return points_of(self.draw(rng), self.sizes, True, 1.0)


EXACT = World(case=0.05, response=0.0, run=1e-9, noise=0.0)
WORLDS = {
    "c = 0.5": World(),
    "c = 0.3": World(0.95, 0.8, 0.3),
    "c = 1": World(0.88, 3.0, 1.0),
    "5 seeds, 10 to 100 cases": World(sizes=(10, 20, 40, 70, 100), seeds=5),
    "2 seeds": World(seeds=2),
    "one seed, 6 sizes": World(sizes=(20, 30, 50, 80, 120, 200), seeds=1),
    "noise falls with the size": World(falls=0.5),
    "near the best score": World(0.985, 1.0, 0.7, (10, 20, 40, 70, 100), case=0.02, run=0.005, noise=0.01),
    "12 scored cases": World(cases=12),
    "luck of the training sets": World(luck=0.01, run=0.005),
    "noisy runs": World(run=0.03),
}


def measure(world, repetitions):
    """Fractions of refusals, and of intervals of score and gain at twice the cases that cover the truth."""
    rng, most, covered = np.random.default_rng(0), world.sizes[-1], []
    truth, gain = world.at(2 * most), world.at(2 * most) - world.at(most)
    for _ in range(repetitions):
        points = world.points(rng)
        if not refusal(points):
            law = fit(points)
            found = (law.score(2 * most), law.gain(most, 2 * most))
            covered.append([one.low <= true <= one.high for one, true in zip(found, (truth, gain), strict=True)])
    return 1 - len(covered) / repetitions, *np.mean(covered, axis=0)


@pytest.mark.parametrize("name", ["c = 0.5", "one seed, 6 sizes"])
def test_the_interval_at_twice_the_cases_covers_the_truth(name):
    refused, score, gain = measure(WORLDS[name], 50)
    assert refused < 0.1
    assert score >= 0.86  # 95 % and the noise of 50 repetitions
    assert gain >= 0.86


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_it_does_so_in_many_worlds(name):
    _, score, gain = measure(WORLDS[name], 400)
    assert 0.90 - 0.03 <= score <= 0.99 + 0.01
    assert gain >= 0.90 - 0.03


@pytest.mark.parametrize(("a", "b", "c"), [(0.9, 1.0, 0.5), (0.8, 3.0, 1.0), (0.95, 0.7, 0.3)])
def test_a_law_without_noise_is_found(a, b, c):
    law = fit(replace(EXACT, a=a, b=b, c=c).points(np.random.default_rng(0)))
    shift = law.at(200) - (a - b * 200**-c)  # what the drawn cases are easier than others
    assert (law.b, law.c) == (pytest.approx(b, rel=2e-2), pytest.approx(c, rel=2e-2))
    assert law.at(400) - shift == pytest.approx(a - b * 400**-c, abs=1e-4)
    assert law.gain(200, 400).value == pytest.approx(b * (200**-c - 400**-c), rel=1e-3)


def test_of_a_score_of_which_less_is_better_the_law_is_turned_round():
    rng = np.random.default_rng(0)
    tables = World(a=0.0, b=-40.0, c=0.5, case=0.3, response=0.1, run=0.05, noise=0.1).draw(rng)
    law = fit(points_of(tables, SIZES, False, 0.0))
    assert -law.at(400) == pytest.approx(40 * 400**-0.5, rel=0.1)
    assert law.score(math.inf).high <= 0  # no distance is below 0
    assert law.gain(200, 400).low > 0


def test_sizes_may_come_in_any_order():
    tables = World().draw(np.random.default_rng(1))
    one, other = (points_of(tables[::step], SIZES[::step], True, 1.0) for step in (1, -1))
    assert fit(one).score(400) == fit(other).score(400)


def test_ends_are_where_the_best_law_that_has_them_fits_just_badly_enough():
    points = World(cases=400, case=0.0, response=0.0, noise=0.0).points(np.random.default_rng(2))
    law = fit(points)
    worst = float(points.loss(law.at(1.0) * 0 + law.a - law.b * points.sizes**-law.c))
    worst += points.variance * stats.f.ppf(0.95, 1, points.df)
    # All laws of a dense grid that fit well enough, b the best one of each a and c.
    kept = []
    for c in np.geomspace(0.05, 3, 400):
        a = np.linspace(0.7, 1.0, 1501)[:, None]
        powers = points.sizes**-c
        b = np.maximum((points.runs * powers * (a - points.means)).sum(1) / (points.runs * powers**2).sum(), 0)
        good = points.loss(a - b[:, None] * powers) <= worst
        kept.append(np.stack([a[good, 0] - b[good] * 400**-c, a[good, 0], b[good] * (200**-c - 400**-c)]))
    scores, ends, gains = np.concatenate(kept, axis=1)
    for found, values in ((law.score(400), scores), (law.score(math.inf), ends), (law.gain(200, 400), gains)):
        assert (found.low, found.high) == pytest.approx((values.min(), values.max()), abs=2e-3)


def test_the_draw_of_cases_widens_the_score_and_not_the_gain():
    rng = np.random.default_rng(3)
    few, many = (World(cases=cases, case=0.15, response=0.0, noise=0.0).points(rng) for cases in (10, 1000))
    widths = {}
    for name, points in (("few", few), ("many", many)):
        law = fit(points)
        found = law.score(400), law.gain(200, 400)
        widths[name] = [one.high - one.low for one in found]
    assert widths["few"][0] > 2 * widths["many"][0]
    assert widths["few"][1] < 2 * widths["many"][1]


@pytest.mark.parametrize(
    ("world", "sizes", "sentence"),
    [
        (World(), SIZES[:3], "3 sizes: a power law has three parameters"),
        (World(), (100, 120, 150, 200), "the largest number of training cases is 2 times the smallest"),
        (World(seeds=1), SIZES[:4], "1 degrees of freedom tell noise from trend"),
        (World(b=0.0), SIZES, "no trend"),
        (World(b=-0.5), SIZES, "no trend"),
        (World(cases=1), SIZES, "all sizes share fewer than 2 scored cases"),
    ],
)
def test_more_than_the_data_say_is_refused(world, sizes, sentence):
    points = replace(world, sizes=sizes).points(np.random.default_rng(0))
    assert refusal(points).startswith(sentence)


def test_a_trend_of_noise_is_seldom_believed():
    refused, *_ = measure(World(b=0.0), 60)
    assert refused >= 0.9


def test_luck_that_seeds_share_is_seen_in_the_scatter_around_the_law():
    rng = np.random.default_rng(0)
    lucky = [World(luck=0.03, run=0.001, noise=0.0).points(rng).variance for _ in range(20)]
    assert np.mean(lucky) > 10 * (0.001**2 + 0.02**2 / 50)


if __name__ == "__main__":
    for title, each in WORLDS.items():
        print(title, *(f"{share:.3f}" for share in measure(each, int(sys.argv[1]))), flush=True)
