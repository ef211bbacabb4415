import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from lungpatch.evaluation.cases import CELL, FRAME
from lungpatch.evaluation.localisation import (
    BINS,
    PRO_LIMIT,
    bin_edges,
    cells,
    heat_in_lungs,
    place_statistics,
    pointing_hit,
    pooled_histograms,
    pro_statistic,
    within_images,
)

ONE = np.ones((1, 1))


def _samples(case, heat):
    return [(heat_in_lungs(heat, case), case.lesion[case.lungs])]


def test_unscored_lung_is_as_low_as_the_lowest(make_case, no_heat):
    heat = no_heat()
    heat[0, :3] = (np.nan, -2.0, 5.0)
    heat[1] = np.nan
    values = heat_in_lungs(heat, make_case())
    assert values[:3].tolist() == [-2.0, -2.0, 5.0]
    assert (values[FRAME : 2 * FRAME] == -2.0).all()
    assert (heat_in_lungs(np.full_like(heat, np.nan), make_case()) == 0).all()


def test_a_cell_counts_by_its_centre_and_its_lung(make_case, no_heat):
    lungs = np.zeros((FRAME, FRAME), dtype=bool)
    lungs[:CELL, : 2 * CELL] = True  # two whole cells
    lungs[CELL : 2 * CELL, : CELL // 2] = True  # one that is half lung
    lungs[2 * CELL : 3 * CELL, : CELL // 2 - 1] = True  # one that is less
    heat = no_heat()
    heat[CELL : 2 * CELL, : CELL // 2] = 7.0
    heat[:CELL, :CELL] = 3.0
    case = make_case(boxes=[(0, 0, CELL // 2 + 1, CELL // 2 + 1)], lungs=lungs)
    scores, positive = cells(heat, case)
    assert scores.tolist() == [3.0, 0.0, 7.0]
    assert positive.tolist() == [True, False, False]


def test_pointing_by_hand(make_case, no_heat):
    case = make_case(boxes=[(10, 10, 30, 30)])
    heat = no_heat()
    heat[12, 12] = 1.0
    assert pointing_hit(heat, case) == 1.0
    heat[100, 100] = 2.0
    assert pointing_hit(heat, case) == 0.0
    heat[13, 13] = 2.0
    assert pointing_hit(heat, case) == 0.5  # two are the hottest
    # A map that says nothing hits as often as chance.
    assert pointing_hit(no_heat(), case) == pytest.approx(400 / FRAME**2)


def test_the_hottest_point_outside_the_lungs_does_not_count(make_case, no_heat):
    lungs = np.zeros((FRAME, FRAME), dtype=bool)
    lungs[:100] = True
    heat = no_heat()
    heat[200, 200], heat[5, 5] = 9.0, 1.0
    assert pointing_hit(heat, make_case(boxes=[(0, 0, 20, 20)], lungs=lungs)) == 1.0


def test_each_image_by_itself_equals_scikit_learn(make_case):
    rng = np.random.default_rng(0)
    case = make_case(boxes=[(20, 30, 90, 100)])
    heat = rng.normal(size=(FRAME, FRAME)).astype(np.float32) + case.lesion
    statistics, chance = place_statistics([case], [heat])
    truth, scores = case.lesion.ravel(), heat.astype(np.float64).ravel()
    assert statistics["pixel auroc"](ONE)[0] == pytest.approx(roc_auc_score(truth, scores))
    assert statistics["pixel ap"](ONE)[0] == pytest.approx(average_precision_score(truth, scores))
    assert chance["pixel ap"](ONE)[0] == pytest.approx(case.lesion.mean())
    means, inside = cells(heat, case)
    assert statistics["patch auroc"](ONE)[0] == pytest.approx(roc_auc_score(inside, means))


def test_pooled_bins_are_as_good_as_scikit_learn(make_case):
    rng = np.random.default_rng(1)
    cases = [make_case(i, boxes=[(20, 30, 90, 100 + 20 * i)]) for i in range(3)]
    heats = [
        rng.normal(size=(FRAME, FRAME)).astype(np.float32) + 0.8 * case.lesion + i
        for i, case in enumerate(cases)
    ]
    statistics, _ = place_statistics(cases, heats)
    # Images count as often as they are drawn.
    drawn = [2, 1, 0]
    truth = np.concatenate([cases[i].lesion.ravel() for i in (0, 0, 1)])
    scores = np.concatenate([heats[i].ravel() for i in (0, 0, 1)])
    weights = np.array([drawn], dtype=float)
    pooled = statistics["pixel auroc pooled"](weights)[0]
    assert pooled == pytest.approx(roc_auc_score(truth, scores), abs=1 / BINS)
    precision = statistics["pixel ap pooled"](weights)[0]
    assert precision == pytest.approx(average_precision_score(truth, scores), abs=2e-3)


def test_few_scores_have_a_bin_each():
    sample = (np.array([1.0, 4.0, 4.0]), np.array([False, True, False]))
    assert bin_edges([sample, None]).tolist() == [4.0]
    positive, negative = pooled_histograms([sample, None])
    assert positive.tolist() == [[0, 1], [0, 0]]
    assert negative.tolist() == [[1, 1], [0, 0]]


def test_pro_of_one_region_is_the_partial_roc(make_case):
    rng = np.random.default_rng(2)
    case = make_case(boxes=[(20, 30, 90, 100)])
    heat = (rng.integers(0, 200, (FRAME, FRAME)) + 60 * case.lesion).astype(np.float32)
    found = pro_statistic([case], _samples(case, heat))(ONE)[0]
    rate, hits, _ = roc_curve(case.lesion.ravel(), heat.ravel(), drop_intermediate=False)
    x = np.linspace(0, PRO_LIMIT, 200_001)
    assert found == pytest.approx(np.interp(x, rate, hits).mean(), abs=1e-4)


def test_pro_weighs_small_and_large_regions_alike(make_case, no_heat):
    case = make_case(boxes=[(0, 0, 100, 100), (200, 200, 210, 210)])
    heat = no_heat()
    heat[200:210, 200:210] = 1.0  # the small one is found whole, the large one not at all
    found = pro_statistic([case], _samples(case, heat))(ONE)[0]
    # The curve starts at 1/2 and goes straight to (1, 1).
    assert found == pytest.approx(0.5 + 0.5 * PRO_LIMIT / 2)
    assert pro_statistic([case], _samples(case, no_heat()))(ONE)[0] == pytest.approx(PRO_LIMIT / 2)


def test_images_without_a_place_play_no_part(make_case, no_heat):
    everywhere = make_case(0, boxes=[(0, 0, FRAME, FRAME)])
    nowhere = make_case(1)
    statistics, _ = place_statistics([everywhere, nowhere], [no_heat(), no_heat()])
    assert all(np.isnan(figure(np.ones((1, 2)))[0]) for figure in statistics.values())
    assert np.isnan(within_images([None])[0]).all()
