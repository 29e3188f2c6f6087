"""What is measured of cases while they are scored, against torch; runs calibrated end to end are in commands."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from segexp.evaluation.quality import Meter, PairsAside, in_sentence, knowledge, log_loss, views_of_predictor
from segexp.inference import FlipTurnPredictor, SlicePredictor, TiledPredictor
from segexp.inference.quality import CaseQuality
from segexp.prediction.quality import Quality
from tests.inference.test_ensemble import draw, networks
from tests.prediction.test_quality import case


def test_log_loss_is_that_of_torch_at_the_divided_logits():
    logits, target = draw(3, 12, 10), torch.arange(120).view(12, 10) % 3
    target[0] = 255
    expected = cross_entropy(logits[None] / 2, target[None], ignore_index=255)
    assert log_loss(logits.softmax(0), target, 2.0, "softmax") == pytest.approx(float(expected), rel=1e-4)
    regions = (draw(3, 12, 10) > 0).long()
    expected = binary_cross_entropy_with_logits(logits / 2, regions.float())
    assert log_loss(logits.sigmoid(), regions, 2.0, "sigmoid") == pytest.approx(float(expected), rel=1e-4)


def test_members_agreement_is_kept_aside_and_the_probabilities_stay():
    net, image = networks(1)[0], draw(1, 1, 24, 24)
    predictor = SlicePredictor(FlipTurnPredictor(TiledPredictor(None)))
    aside = PairsAside(predictor, 3)
    torch.testing.assert_close(aside(net, image), predictor(net, image))
    assert aside.pairs.shape == (1, 4, 24, 24)
    assert len(views_of_predictor(predictor)) == 7
    assert views_of_predictor(TiledPredictor()) == []


def test_the_temperature_that_fits_the_truth_is_chosen():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 60, 60, generator=generator) * 2
    truth = (torch.rand(60, 60, generator=generator) < logits.softmax(0)[1]).long()
    meter = Meter("softmax", [None, None], None, (1.0, 0.5, 2.0))
    for index in (1, 0):
        batch = {"case_index": torch.tensor([index]), "target": truth[None]}
        meter.on_test_batch_end(None, None, {"probs": (logits * 2).softmax(0)[None]}, batch)  # twice as sure as right
    assert meter.temperature == 2.0
    quality = CaseQuality()
    quality.add(logits.softmax(0))
    first, second = meter.measures(2.0)
    assert first["expected_dice"] == pytest.approx(quality.measures()["expected_dice"], abs=1e-6)
    assert first == second


def test_knowledge_counts_what_is_defined():
    truth = [0.5, 0.7, 0.9, float("nan"), 0.6]
    found = [Quality(case(0.5), dice, dice - 0.1, dice + 0.1) for dice in (0.55, 0.65, 0.95, 0.2, 0.9)]
    known = knowledge(found, truth, "expected_dice")
    assert known["cases"] == 4
    assert known["mean_error"] == pytest.approx(np.mean([0.05, 0.05, 0.05, 0.3]))
    assert known["covered"] == 0.75
    assert known["rank_correlation"] == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert "of 4 cases: rank correlation 0.80, mean error 0.11" in in_sentence(known)
    assert in_sentence(known).endswith("75% within their intervals of 90%")
    assert "undefined" in in_sentence(knowledge(found[:2], truth[:2], "agreement"))
