"""Measures of a case against truths drawn from its probabilities, pairs of masks counted one by one, and hands."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segexp.inference import Ensemble, TiledPredictor, views
from segexp.inference.probabilities import tempered
from segexp.inference.quality import CaseQuality, certainty
from tests.inference.test_ensemble import draw


def smooth_probs(channels: int = 3, sigmoid: bool = False) -> Tensor:
    coarse = torch.randn(1, channels, 5, 6, generator=torch.Generator().manual_seed(3)) * 4
    logits = torch.nn.functional.interpolate(coarse, (40, 48), mode="bilinear")[0]
    return logits.sigmoid() if sigmoid else logits.softmax(0)


def measured(probs: Tensor, **settings):
    quality = CaseQuality(**settings)
    quality.add(probs)
    return quality.measures()


def test_three_pixels_by_hand():
    found = measured(torch.tensor([[0.1, 0.4, 0.8], [0.9, 0.6, 0.2]]))
    assert found["expected_dice"] == pytest.approx(2 * 1.5 / (2 + 1.7))
    assert found["predicted"] == 2
    bits = [-(p * np.log2(p) + (1 - p) * np.log2(1 - p)) for p in (0.9, 0.6)]
    assert found["entropy"] == pytest.approx(np.mean(bits))
    assert found["agreement"] is None


@pytest.mark.parametrize("sigmoid", [False, True])
def test_expected_dice_is_that_of_truths_drawn_from_the_probabilities(sigmoid):
    probs = smooth_probs(sigmoid=sigmoid)
    rng, scores = np.random.default_rng(0), []
    chosen = probs.argmax(0).numpy()
    masks = (probs > 0.5).numpy() if sigmoid else np.stack([chosen == 1, chosen == 2])
    for _ in range(200):
        uniform = rng.random(probs.shape if sigmoid else probs.shape[1:])
        if sigmoid:
            truths = uniform < probs.numpy()
        else:
            label = (uniform > probs.cumsum(0).numpy()[:2]).sum(0)
            truths = np.stack([label == 1, label == 2])
        pairs = zip(masks, truths, strict=True)
        scores.append(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs if a.any()]))
    found = measured(probs, activation="sigmoid" if sigmoid else "softmax")
    assert found["expected_dice"] == pytest.approx(np.mean(scores), abs=0.005)


def test_blocks_add_up_and_pixels_outside_count_nowhere():
    probs, inside = smooth_probs(), torch.rand(40, 48, generator=torch.Generator().manual_seed(0)) < 0.7
    whole, blocks = CaseQuality(), CaseQuality()
    whole.add(probs[:, inside])
    for rows in (slice(0, 7), slice(7, 8), slice(8, 40)):
        blocks.add(probs[:, rows], inside=inside[rows])
    blocks.add(probs[:, :3], inside=torch.zeros(3, 48, dtype=torch.bool))
    assert blocks.measures() == pytest.approx(whole.measures(), abs=1e-12)


def test_agreement_is_the_dice_of_all_pairs_of_masks():
    torch.manual_seed(0)
    nets, image = [nn.Conv2d(1, 3, 5, padding=2) for _ in range(2)], draw(1, 1, 24, 24)
    ensemble = Ensemble(nets, views(turns=False), pairs=True)
    with torch.inference_mode():
        output = TiledPredictor(None)(ensemble, image)[0]
        alone = [Ensemble([net], [view]) for net in nets for view in views(turns=False)]
        members = [TiledPredictor(None)(one, image)[0].argmax(0) for one in alone]
    quality = CaseQuality()
    quality.add(output[:3], output[3:])
    expected = []
    for label in (1, 2):
        masks = [member == label for member in members]
        both = sum(int((a & b).sum()) for a, b in combinations(masks, 2))
        sizes = sum(int(a.sum() + b.sum()) for a, b in combinations(masks, 2))
        expected.append(2 * both / sizes)
    assert len(members) == 8
    assert 0.05 < np.mean(expected) < 0.95
    assert quality.measures()["agreement"] == pytest.approx(np.mean(expected), abs=1e-6)


def test_an_empty_mask_has_no_quality():
    found = measured(torch.tensor([[0.9, 0.8], [0.1, 0.2]]))
    assert (found["expected_dice"], found["entropy"], found["predicted"]) == (0.0, None, 0)
    with pytest.raises(ValueError, match="no agreement of one network"):
        certainty(found, "agreement")


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tempered_probabilities_are_those_of_divided_logits(temperature):
    logits = draw(3, 50)
    torch.testing.assert_close(tempered(logits.softmax(0), temperature), (logits / temperature).softmax(0))
    found = tempered(logits.sigmoid(), temperature, "sigmoid")
    torch.testing.assert_close(found, (logits / temperature).sigmoid())
