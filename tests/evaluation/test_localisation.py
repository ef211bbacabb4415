import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from lungpatch.evaluation.cases import CELL_SIZE, GRID_SIZE
from lungpatch.evaluation.localisation import (
    BINS,
    PRO_LIMIT,
    bin_edges,
    cell_scores,
    localisation_statistics,
    pixel_samples,
    pointing_hit,
    pooled_histograms,
    pro_statistic,
    scores_in_lungs,
    within_images,
)

ONE = np.ones((1, 1))


def _samples(case, heatmap):
    return [(scores_in_lungs(heatmap, case), case.lesion[case.lungs])]


def test_unscored_lung_is_as_low_as_the_lowest(make_case, flat_map):
    heatmap = flat_map()
    heatmap[0, :3] = (np.nan, -2.0, 5.0)
    heatmap[1] = np.nan
    values = scores_in_lungs(heatmap, make_case())
    assert values[:3].tolist() == [-2.0, -2.0, 5.0]
    assert (values[GRID_SIZE : 2 * GRID_SIZE] == -2.0).all()
    assert (scores_in_lungs(np.full_like(heatmap, np.nan), make_case()) == 0).all()


def test_a_cell_counts_by_its_centre_and_its_lung(make_case, flat_map):
    lungs = np.zeros((GRID_SIZE, GRID_SIZE), dtype=bool)
    lungs[:CELL_SIZE, : 2 * CELL_SIZE] = True  # two whole cells
    lungs[CELL_SIZE : 2 * CELL_SIZE, : CELL_SIZE // 2] = True  # one that is half lung
    lungs[2 * CELL_SIZE : 3 * CELL_SIZE, : CELL_SIZE // 2 - 1] = True  # one that is less
    heatmap = flat_map()
    heatmap[CELL_SIZE : 2 * CELL_SIZE, : CELL_SIZE // 2] = 7.0
    heatmap[:CELL_SIZE, :CELL_SIZE] = 3.0
    case = make_case(boxes=[(0, 0, CELL_SIZE // 2 + 1, CELL_SIZE // 2 + 1)], lungs=lungs)
    scores, positive = cell_scores(heatmap, case)
    assert scores.tolist() == [3.0, 0.0, 7.0]
    assert positive.tolist() == [True, False, False]


def test_pointing_by_hand(make_case, flat_map):
    case = make_case(boxes=[(10, 10, 30, 30)])
    heatmap = flat_map()
    heatmap[12, 12] = 1.0
    assert pointing_hit(heatmap, case) == 1.0
    heatmap[100, 100] = 2.0
    assert pointing_hit(heatmap, case) == 0.0
    heatmap[13, 13] = 2.0
    assert pointing_hit(heatmap, case) == 0.5  # two are equally high
    # A map of equal scores hits as often as chance.
    assert pointing_hit(flat_map(), case) == pytest.approx(400 / GRID_SIZE**2)


def test_the_maximum_outside_the_lungs_does_not_count(make_case, flat_map):
    lungs = np.zeros((GRID_SIZE, GRID_SIZE), dtype=bool)
    lungs[:100] = True
    heatmap = flat_map()
    heatmap[200, 200], heatmap[5, 5] = 9.0, 1.0
    assert pointing_hit(heatmap, make_case(boxes=[(0, 0, 20, 20)], lungs=lungs)) == 1.0


def test_each_image_by_itself_equals_scikit_learn(make_case):
    rng = np.random.default_rng(0)
    case = make_case(boxes=[(20, 30, 90, 100)])
    heatmap = rng.normal(size=(GRID_SIZE, GRID_SIZE)).astype(np.float32) + case.lesion
    statistics, chance = localisation_statistics([case], [heatmap])
    truth, scores = case.lesion.ravel(), heatmap.astype(np.float64).ravel()
    assert statistics["pixel AUROC"](ONE)[0] == pytest.approx(roc_auc_score(truth, scores))
    assert statistics["pixel AP"](ONE)[0] == pytest.approx(average_precision_score(truth, scores))
    assert chance["pixel AP"](ONE)[0] == pytest.approx(case.lesion.mean())
    means, inside = cell_scores(heatmap, case)
    assert statistics["patch AUROC"](ONE)[0] == pytest.approx(roc_auc_score(inside, means))


def test_pooled_bins_are_as_good_as_scikit_learn(make_case):
    rng = np.random.default_rng(1)
    cases = [make_case(i, boxes=[(20, 30, 90, 100 + 20 * i)]) for i in range(3)]
    heatmaps = [
        rng.normal(size=(GRID_SIZE, GRID_SIZE)).astype(np.float32) + 0.8 * case.lesion + i
        for i, case in enumerate(cases)
    ]
    statistics, _ = localisation_statistics(cases, heatmaps)
    # Images count as often as they are drawn.
    drawn = [2, 1, 0]
    truth = np.concatenate([cases[i].lesion.ravel() for i in (0, 0, 1)])
    scores = np.concatenate([heatmaps[i].ravel() for i in (0, 0, 1)])
    weights = np.array([drawn], dtype=float)
    pooled = statistics["pooled pixel AUROC"](weights)[0]
    assert pooled == pytest.approx(roc_auc_score(truth, scores), abs=1 / BINS)
    precision = statistics["pooled pixel AP"](weights)[0]
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
    heatmap = (rng.integers(0, 200, (GRID_SIZE, GRID_SIZE)) + 60 * case.lesion).astype(np.float32)
    found = pro_statistic([case], _samples(case, heatmap))(ONE)[0]
    rate, hits, _ = roc_curve(case.lesion.ravel(), heatmap.ravel(), drop_intermediate=False)
    x = np.linspace(0, PRO_LIMIT, 200_001)
    assert found == pytest.approx(np.interp(x, rate, hits).mean(), abs=1e-4)


def test_pro_weighs_small_and_large_regions_alike(make_case, flat_map):
    case = make_case(boxes=[(0, 0, 100, 100), (200, 200, 210, 210)])
    heatmap = flat_map()
    heatmap[200:210, 200:210] = 1.0  # the small one is found whole, the large one not at all
    found = pro_statistic([case], _samples(case, heatmap))(ONE)[0]
    # The curve starts at 1/2 and goes straight to (1, 1).
    assert found == pytest.approx(0.5 + 0.5 * PRO_LIMIT / 2)
    assert pro_statistic([case], _samples(case, flat_map()))(ONE)[0] == pytest.approx(PRO_LIMIT / 2)


def test_images_without_a_place_to_localise_are_ignored(make_case, flat_map):
    everywhere = make_case(0, boxes=[(0, 0, GRID_SIZE, GRID_SIZE)])
    nowhere = make_case(1)
    statistics, _ = localisation_statistics([everywhere, nowhere], [flat_map(), flat_map()])
    assert all(np.isnan(each(np.ones((1, 2)))[0]) for each in statistics.values())
    assert np.isnan(within_images([None])[0]).all()


def test_cells_have_rows_and_columns_and_half_open_boxes(make_case, flat_map):
    heatmap = flat_map()
    heatmap[0:CELL_SIZE, 2 * CELL_SIZE : 3 * CELL_SIZE] = 4.0
    half = CELL_SIZE // 2  # the centre of the first cell
    case = make_case(boxes=[(half, half, 3 * half, 7 * half)])
    scores, positive = cell_scores(heatmap, case)
    side = GRID_SIZE // CELL_SIZE
    assert np.flatnonzero(positive).tolist() == [0, 1, 2]  # centres at 8, 24, 40, and not 56
    assert np.flatnonzero(scores).tolist() == [2]
    assert scores[2] == 4.0
    below = make_case(boxes=[(half + 1, 0, 3 * half + 1, 2 * CELL_SIZE)])
    assert np.flatnonzero(cell_scores(heatmap, below)[1]).tolist() == [side, side + 1]


def test_a_cell_is_scored_by_its_lung_pixels(make_case, flat_map):
    lungs = np.zeros((GRID_SIZE, GRID_SIZE), dtype=bool)
    lungs[: CELL_SIZE // 2, :CELL_SIZE] = True
    heatmap = flat_map()
    heatmap[0] = 8.0
    heatmap[CELL_SIZE // 2 :] = 100.0  # not lung
    scores, _ = cell_scores(heatmap, make_case(boxes=[(0, 0, 9, 9)], lungs=lungs))
    assert scores.tolist() == [1.0]


def test_what_each_metric_is_by_chance(make_case, flat_map):
    cases = [make_case(0, boxes=[(0, 0, 64, 128)]), make_case(1, boxes=[(0, 0, 128, 128)])]
    statistics, chance = localisation_statistics(cases, [flat_map(), flat_map()])
    assert chance.keys() == statistics.keys()
    weights = np.array([[1.0, 1.0], [3.0, 1.0]])
    prevalence = [(1 / 8 + 1 / 4) / 2, (3 / 8 + 1 / 4) / 4]
    for name, statistic in chance.items():
        expected = prevalence
        if "AUROC" in name:
            expected = [0.5, 0.5]
        elif name == "AUPRO":
            expected = [PRO_LIMIT / 2] * 2
        assert statistic(weights) == pytest.approx(expected), name
        # Equal scores are no better than chance.
        assert statistics[name](weights) == pytest.approx(expected), name


def test_pooled_precision_by_chance_weighs_images_by_their_pixels(make_case, flat_map):
    lungs = np.zeros((GRID_SIZE, GRID_SIZE), dtype=bool)
    lungs[:10, :10] = True
    cases = [
        make_case(0, boxes=[(0, 0, 5, 10)], lungs=lungs),
        make_case(1, boxes=[(0, 0, 64, 64)]),
    ]
    _, chance = localisation_statistics(cases, [flat_map(), flat_map()])
    both = np.ones((1, 2))
    assert chance["pixel AP"](both)[0] == pytest.approx((1 / 2 + 1 / 16) / 2)
    pooled = (50 + 64 * 64) / (100 + GRID_SIZE**2)
    assert chance["pooled pixel AP"](both)[0] == pytest.approx(pooled)


def test_within_images_ranks_each_image_alone():
    samples = [
        (np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True])),
        (np.array([10.0, 20.0]), np.array([True, False])),
        (np.array([1.0, 2.0]), np.array([True, True])),
        (np.array([1.0, 2.0]), np.array([False, False])),
        None,
    ]
    auroc, precision, prevalence = within_images(samples)
    nan = np.nan
    np.testing.assert_allclose(auroc, [0.75, 0.0, nan, nan, nan])
    np.testing.assert_allclose(precision, [(1 / 1 + 2 / 3) / 2, 0.5, nan, nan, nan])
    np.testing.assert_allclose(prevalence, [0.5, 0.5, nan, nan, nan])


def test_many_scores_share_bins_of_equal_content():
    scores = np.arange(4.0 * BINS)
    edges = bin_edges([(scores, np.zeros(scores.size, bool))])
    assert edges.size == BINS - 1
    counts = np.bincount(np.searchsorted(edges, scores, side="right"))
    assert counts.size == BINS
    assert set(counts.tolist()) <= {3, 4, 5}
    few = np.arange(float(BINS))
    assert bin_edges([(few, np.zeros(few.size, bool))]).tolist() == few[1:].tolist()
    assert bin_edges([None]).size == 0


def test_pro_counts_regions_as_often_as_their_images_are_drawn(make_case, flat_map):
    cases = [make_case(0, boxes=[(0, 0, 50, 50)]), make_case(1, boxes=[(9, 9, 60, 60)])]
    found, missed = flat_map(), flat_map()
    found[0:50, 0:50] = 1.0
    statistic = pro_statistic(cases, pixel_samples(cases, [found, missed]))
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 3.0]])
    # One image of four is found whole; the rest of the curve goes straight to (1, 1).
    straight = PRO_LIMIT / 2
    expected = [1.0, straight, 1 / 4 + 3 / 4 * straight]
    assert statistic(weights) == pytest.approx(expected, abs=1e-6)
    assert np.isnan(statistic(np.zeros((1, 2))))[0]


def test_false_positives_reduce_pro(make_case, flat_map):
    case = make_case(boxes=[(0, 0, 128, GRID_SIZE)])
    heatmap = flat_map()
    heatmap[:64] = 1.0  # half of the region
    heatmap[128:192] = 2.0  # and, higher still, half of the rest
    found = pro_statistic([case], _samples(case, heatmap))(ONE)[0]
    assert found == 0.0  # up to 30 % of the rest nothing of the region is found
    heatmap[128:192] = 0.5
    found = pro_statistic([case], _samples(case, heatmap))(ONE)[0]
    assert found == pytest.approx(0.5)


def test_there_is_one_map_per_image(make_case, flat_map):
    cases = [make_case(0, boxes=[(0, 0, 9, 9)]), make_case(1, boxes=[(0, 0, 9, 9)])]
    for maps in ([flat_map()], [flat_map()] * 3):
        with pytest.raises(ValueError, match="argument 2 is"):
            pixel_samples(cases, maps)
        with pytest.raises(ValueError, match="argument 2 is"):
            localisation_statistics(cases, maps)
