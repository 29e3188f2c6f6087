"""Suggestions against a plain greedy k-center over scipy's distances, and plain sorting."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from segexp.prediction.selection import select


def drawn(count: int = 30, features: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.random(count), rng.normal(size=(count, features)) * rng.uniform(0.1, 10, features)


def farthest_first(features: np.ndarray, first: int, count: int) -> tuple[list[int], list[float]]:
    scaled = features / features.std(0)
    between = cdist(scaled, scaled) / np.sqrt(features.shape[1])
    chosen, distances = [first], []
    while len(chosen) < count:
        nearest = between[:, chosen].min(1)
        chosen.append(int(nearest.argmax()))
        distances.append(nearest.max())
    return chosen, distances


def test_diversity_alone_is_greedy_k_center_from_the_most_uncertain():
    uncertainty, features = drawn()
    chosen, distances = farthest_first(features, int(uncertainty.argmax()), 12)
    picks = select(uncertainty, features, 12, diversity=1)
    assert [pick.index for pick in picks] == chosen
    np.testing.assert_allclose([pick.distance for pick in picks[1:]], distances)
    assert np.isnan(picks[0].distance)
    assert picks[0].nearest is None


def test_no_diversity_is_the_order_of_uncertainty():
    uncertainty, features = drawn()
    assert [pick.index for pick in select(uncertainty, features, 99, diversity=0)] == list(np.argsort(-uncertainty))


def test_of_two_alike_the_second_comes_last():
    uncertainty, features = drawn(10)
    features[4] = features[7]
    uncertainty[4], uncertainty[7] = 0.99, 0.98
    order = [pick.index for pick in select(uncertainty, features, 10, diversity=0.9)]
    assert order[0] == 4
    assert order[-1] == 7


def test_what_is_labeled_is_kept_away_from():
    features = np.array([[0.0], [1.0], [5.0], [9.0]])
    picks = select([0.5] * 4, features, 2, diversity=1, labeled=np.array([[0.0], [9.5]]))
    assert [pick.index for pick in picks] == [2, 1]
    assert [pick.nearest for pick in picks] == [None, None]


def test_the_order_of_the_images_does_not_matter():
    uncertainty, features = drawn()
    order = np.random.default_rng(0).permutation(len(uncertainty))
    once = [pick.index for pick in select(uncertainty, features, 9)]
    again = [order[pick.index] for pick in select(uncertainty[order], features[order], 9)]
    assert again == once


def test_images_that_are_all_alike_are_ranked_by_their_uncertainty():
    assert [pick.index for pick in select([0.1, 0.3, 0.2], np.ones((3, 4)), 3)] == [1, 2, 0]
    assert [pick.index for pick in select([0.2], np.ones((1, 4)), 3)] == [0]


@pytest.mark.parametrize(("change", "message"), [({"count": 0}, "count=0"), ({"diversity": 1.5}, "diversity=1.5")])
def test_arguments_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        select(*drawn(), **{"count": 3, **change})
