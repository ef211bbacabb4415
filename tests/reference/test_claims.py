import itertools

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score

from lungpatch.errors import InsufficientDataError
from lungpatch.reference.claims import (
    MIN_PATCHES,
    KindRule,
    Unimodality,
    aurocs_by_kind,
    best_ordered_accuracy,
    compare_images,
    compare_kinds,
    confusion_counts,
    interval_over_images,
    overlap_coefficient,
    table_1_rule,
    unimodality,
)
from lungpatch.reference.patch_table import PatchTable


def _dip_by_linear_programming(scores):
    """The dip by its definition: the least distance to a distribution with one mode.

    For every position m of the mode, G is convex before it and concave after; it must come within
    t of the empirical distribution on both sides of each of its steps; t is made as small as
    possible.
    """
    x = np.sort(scores)
    n = len(x)
    found = []
    for m in range(n):
        left, right = np.arange(1, m + 2), np.arange(m + 2, n + 2)  # variable 0 is t
        rows, bounds = [], []

        def at_most(bound, *terms, rows=rows, bounds=bounds):
            row = np.zeros(n + 2)
            for variable, factor in terms:
                row[variable] += factor
            rows.append(row)
            bounds.append(bound)

        for variable, i in zip(
            [*left[:-1], *right[1:]], [*range(m), *range(m + 1, n)], strict=True
        ):
            at_most(i / n, (variable, 1), (0, -1))
            at_most(-(i + 1) / n, (variable, -1), (0, -1))
        at_most(m / n, (left[-1], 1), (0, -1))
        at_most(-(m + 1) / n, (right[0], -1), (0, -1))
        at_most(0, (left[-1], 1), (right[0], -1))
        for side, points, sign in ((left, x[: m + 1], 1), (right, x[m:], -1)):
            for k in range(1, len(side) - 1):
                before, after = 1 / np.diff(points[k - 1 : k + 2])
                at_most(
                    0,
                    (side[k], sign * (before + after)),
                    (side[k - 1], -sign * before),
                    (side[k + 1], -sign * after),
                )
            for one, other in itertools.pairwise(side):
                at_most(0, (one, 1), (other, -1))
        cost = np.eye(n + 2)[0]
        solved = optimize.linprog(cost, np.array(rows), bounds, bounds=[(0, 1)] * (n + 2))
        found.append(solved.fun)
    return min(found)


@pytest.mark.parametrize("seed", range(3))
def test_dip_is_what_its_definition_says(seed):
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(size=6), rng.normal(4, size=6)])
    assert unimodality(scores).dip == pytest.approx(_dip_by_linear_programming(scores))


def test_uniform_scores_are_rejected_one_time_in_twenty():
    rng = np.random.default_rng(7)
    rejected = np.mean([not unimodality(rng.random(100)).one_mode for _ in range(300)])
    # Four standard errors of a fraction of 0.05 in 300 draws.
    assert abs(rejected - 0.05) < 0.05


# Quantiles of the dip of N uniform scores: Hartigan and Hartigan (1985), table 1, as Maechler
# simulated it anew with 1,000,001 samples a size (table qDiptab of the R package diptest, also
# from n = 4 to 72,000).
PUBLISHED_QUANTILES = {
    20: {0.5: 0.0733437740592714, 0.9: 0.0972346018122903, 0.95: 0.105130218270636},
    50: {0.5: 0.048851155289608, 0.9: 0.0649136324046767, 0.95: 0.0702737877191269},
    200: {0.5: 0.025584358256487, 0.9: 0.0339967814293504, 0.95: 0.0368418413878307},
}


@pytest.mark.parametrize("size", PUBLISHED_QUANTILES)
def test_dips_of_uniform_scores_have_the_published_quantiles(size):
    rng = np.random.default_rng(size)
    found = [unimodality(rng.random(size)) for _ in range(2000)]
    dips = np.array([each.dip for each in found])
    p_values = np.array([each.p_value for each in found])
    for level, quantile in PUBLISHED_QUANTILES[size].items():
        # Four standard errors of a fraction of 2,000 samples.
        error = 4 * np.sqrt(level * (1 - level) / len(dips))
        assert abs((dips <= quantile).mean() - level) < error
        # At a published quantile the p-value is what is left above it.
        assert np.interp(quantile, np.sort(dips), -np.sort(-p_values)) == pytest.approx(
            1 - level, abs=0.005
        )


def test_dip_of_the_example_of_the_dips_inventors():
    # Quality of 63 statistics departments: Hartigan and Hartigan (1985); the scores, and the dip
    # 7.5 / (2 * 63), from the R package diptest (data statfaculty, tests/ex1.Rout.save-64b).
    counts = {
        30: 1, 33: 1, 35: 1, 36: 1, 37: 2, 39: 5, 40: 4, 41: 1, 42: 1, 43: 3, 44: 2, 45: 2, 46: 2,
        47: 2, 48: 3, 49: 1, 50: 2, 51: 1, 52: 2, 53: 5, 54: 2, 57: 2, 59: 1, 60: 3, 61: 4, 62: 4,
        63: 1, 66: 1, 70: 1, 72: 2,
    }  # fmt: skip
    scores = np.repeat(list(counts), list(counts.values()))
    found = unimodality(scores)
    assert found.n_scores == 63
    assert found.dip == pytest.approx(7.5 / (2 * 63))


def test_dip_of_two_points_far_apart_is_the_largest_there_is():
    found = unimodality(np.concatenate([np.zeros(50), np.ones(50)]))
    assert found.dip == pytest.approx(0.25)
    assert found.p_value < 0.001


def test_dip_of_evenly_spaced_scores_is_nothing():
    found = unimodality(np.arange(100))
    assert (found.dip, found.p_value) == (0.0, 1.0)


def test_one_peak_stands_and_two_do_not():
    rng = np.random.default_rng(0)
    one = rng.normal(size=1000)
    found = unimodality(one)
    assert (found.one_mode, found.modes) == (True, 1)
    two = unimodality(np.concatenate([one, one + 6]))
    assert (two.one_mode, two.modes) == (False, 2)
    assert two.to_dict()["one_mode"] is False
    assert isinstance(two, Unimodality)


@pytest.mark.parametrize("scores", [[], [1, 2, 3], [5.0] * 10])
def test_dip_needs_different_scores(scores):
    with pytest.raises(InsufficientDataError):
        unimodality(scores)


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_overlap_of_two_normal_distributions(shift):
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=20_000), rng.normal(shift, size=20_000)
    # By hand: 2 Phi(-shift / 2), widened a little by the kernels.
    assert overlap_coefficient(one, other) == pytest.approx(
        2 * stats.norm.cdf(-shift / 2), abs=0.02
    )


def test_overlap_of_distributions_far_apart_is_nothing():
    assert overlap_coefficient([0, 1, 2], [1000, 1001, 1002]) < 1e-6


def _table(rng, *, images=30, patches=40):
    kinds = np.array(["a", "b", "c"])
    image = np.repeat(np.arange(images), patches)
    which = rng.integers(3, size=len(image))
    return PatchTable(
        image=image,
        corners=np.zeros((len(image), 2)),
        kinds=kinds[which],
        lung_fraction=np.ones(len(image)),
        grey=np.zeros(len(image)),
        scores=rng.normal(which),
    )


def test_pairs_agree_with_scikit_learn():
    rng = np.random.default_rng(2)
    table = _table(rng)
    rows = compare_kinds(table, ("a", "b", "c"), rng=rng, n_resamples=50)
    assert [(row["lower"], row["higher"]) for row in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    for row in rows:
        both = np.isin(table.kinds, (row["lower"], row["higher"]))
        expected = roc_auc_score(table.kinds[both] == row["higher"], table.scores[both])
        assert row["auroc"] == pytest.approx(expected)
        low, high = row["interval"]
        assert low < row["auroc"] < high


def test_aurocs_of_kinds_agree_with_scikit_learn_and_need_enough_patches():
    rng = np.random.default_rng(8)
    table = _table(rng)
    few = np.flatnonzero(table.kinds == "c")[MIN_PATCHES - 1 :]
    kept = table.select(~np.isin(np.arange(len(table)), few))
    found = aurocs_by_kind(kept.scores, kept.kinds, ("a", "b", "c"))
    both = np.isin(kept.kinds, ("a", "b"))
    assert found == {
        "b": pytest.approx(roc_auc_score(kept.kinds[both] == "b", kept.scores[both])),
        "c": None,
    }


def test_interval_draws_images_not_patches():
    rng = np.random.default_rng(3)
    # Each image holds one score only, so that its patches say nothing more than one does.
    image = np.repeat(np.arange(20), 50)
    values = rng.normal(size=20)
    table = PatchTable(
        image=image,
        corners=np.zeros((1000, 2)),
        kinds=np.where(image % 2, "a", "b"),
        lung_fraction=np.ones(1000),
        grey=np.zeros(1000),
        scores=values[image],
    )
    low, high = interval_over_images(table, "b", rng=rng, n_resamples=300)
    assert high - low > 0.3  # of 1,000 independent patches it would be some 0.07


def test_table_1_rule_agrees_with_scikit_learn():
    rng = np.random.default_rng(4)
    table = _table(rng)
    rule = table_1_rule(table.scores, table.kinds, kinds=("a", "b", "c"))
    assert isinstance(rule, KindRule)
    predicted = np.array(["a", "b", "c"])[
        np.searchsorted(np.array(rule.thresholds), table.scores, side="left")
    ]
    assert rule.to_dict()["confusion"] == rule.confusion
    np.testing.assert_array_equal(rule.confusion, confusion_matrix(table.kinds, predicted))
    assert rule.balanced_accuracy == pytest.approx(balanced_accuracy_score(table.kinds, predicted))
    assert rule.best_balanced_accuracy >= rule.balanced_accuracy
    assert rule.best_order == ("a", "b", "c")


def test_table_1_rule_names_the_kind_that_is_missing():
    with pytest.raises(InsufficientDataError, match="known to be c"):
        table_1_rule([1, 2, 3], ["a", "b", "b"], kinds=("a", "b", "c"))


def test_best_thresholds_by_trying_all_pairs():
    rng = np.random.default_rng(5)
    groups = [rng.normal(mean, size=15) for mean in (0.0, 0.5, 1.0)]
    cuts = np.concatenate([[-np.inf], np.sort(np.concatenate(groups))])
    tried = [
        np.mean(
            [
                (groups[0] <= a).mean(),
                ((groups[1] > a) & (groups[1] <= b)).mean(),
                (groups[2] > b).mean(),
            ]
        )
        for a in cuts
        for b in cuts
        if a <= b
    ]
    assert best_ordered_accuracy(groups) == pytest.approx(max(tried))


def test_confusion_counts_by_hand():
    truth = np.array(["a", "a", "b"])
    assert confusion_counts(truth, np.array([0, 1, 1]), ("a", "b")).tolist() == [[1, 1], [0, 1]]


def test_images_are_compared_by_each_value_and_small_groups_are_left_out():
    rng = np.random.default_rng(6)
    score, pneumonia = rng.normal(size=40), np.arange(40) % 2 == 1
    score[0] = np.nan
    none = np.zeros(40, bool)
    rows = compare_images(
        {"score": score},
        {"folders": (~pneumonia, pneumonia), "empty": (~pneumonia, none)},
        rng=rng,
        n_resamples=20,
    )
    assert [row["comparison"] for row in rows] == ["folders"]
    known = ~np.isnan(score)
    expected = roc_auc_score(pneumonia[known], score[known])
    assert rows[0]["auroc"]["score"] == pytest.approx(expected)
