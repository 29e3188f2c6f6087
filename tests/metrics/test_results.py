import math

from segexp.metrics import CaseScores, MetricInfo, MetricResult, gather


def test_results_of_several_metrics_become_one():
    dice = MetricResult(
        [CaseScores(0, "vessel", {"dice": 0.5}), CaseScores(1, "vessel", {"dice": math.nan})],
        {"dice_pooled_vessel": 0.4},
    )
    regions = MetricResult(
        [CaseScores(0, "vessel", {"v_rand": 0.9}), CaseScores(0, "regions", {"v_info": 0.7})],
        chosen={"threshold": 0.3},
        curves={"reliability": {"vessel": {"pixels": [1.0]}}},
    )
    infos = [{"dice": MetricInfo("overlap")}, {"v_rand": MetricInfo("Rand index")}]
    found = gather(zip([dice, regions], infos, strict=True))
    assert found.rows == [
        CaseScores(0, "vessel", {"dice": 0.5, "v_rand": 0.9}),
        CaseScores(1, "vessel", {"dice": found.rows[1].scores["dice"]}),
        CaseScores(0, "regions", {"v_info": 0.7}),
    ]
    assert (found.scores["dice"], found.scores["dice_vessel"], found.scores["dice_pooled_vessel"]) == (0.5, 0.5, 0.4)
    assert found.scores["v_rand"] == 0.9
    assert found.chosen == {"threshold": 0.3}
    assert found.info == infos[0] | infos[1]
    assert found.curves == regions.curves
    assert dice.rows[0].scores == {"dice": 0.5}  # the metrics' own rows stay as they were


def test_nothing_gives_nothing():
    found = gather([])
    assert (found.rows, found.scores, found.info) == ([], {}, {})
