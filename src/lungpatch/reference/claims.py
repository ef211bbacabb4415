"""What the paper concludes, tested: one mode or three kinds, and normal against pneumonia."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from scipy import stats

from lungpatch._utils.extras import import_extra
from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.metrics import auroc, bootstrap_interval
from lungpatch.thresholders.multi_otsu import MultiOtsuThresholder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from lungpatch.reference.patch_table import PatchTable

FEWEST_PATCHES = 20
"""A kind with fewer patches is not compared."""

SIGNIFICANCE = 0.05

_DENSITY_POINTS = 512
_DENSITY_SAMPLE = 5000


@attrs.frozen(kw_only=True)
class Unimodality:
    """Whether scores have one mode.

    Parameters
    ----------
    dip : float
        Hartigan's dip: the largest distance between the empirical distribution and the nearest
        one with a single mode; at most 1 / 4, and 0 where a single mode fits every score.
    p_value : float
        Chance of such a dip, or a larger one, in N independent draws from a uniform distribution.
    modes : int
        Peaks of a Gaussian kernel density at Scott's bandwidth, higher than 5 % of the highest.
    n_scores : int

    Examples
    --------
    >>> Unimodality(dip=0.01, p_value=0.9, modes=1, n_scores=100).one_mode
    True
    """

    dip: float
    p_value: float
    modes: int
    n_scores: int

    @property
    def one_mode(self) -> bool:
        """Whether the test leaves one mode standing, at `SIGNIFICANCE`."""
        return self.p_value >= SIGNIFICANCE

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, JSON-ready."""
        return attrs.asdict(self) | {"one_mode": self.one_mode}


def unimodality(scores: ArrayLike) -> Unimodality:
    """Test whether scores come from a distribution with one mode.

    Overlapping patches, and patches of one image, are not independent, so that the test finds
    modes too readily: one mode that stands is a strong result, a rejection a weak one.

    Parameters
    ----------
    scores : array_like of float, shape (N,)

    Returns
    -------
    Unimodality

    Raises
    ------
    InsufficientDataError
        If there are fewer than 4 scores, or all are equal.
    MissingExtraError
        If diptest is not installed.

    Notes
    -----
    Source: J. A. Hartigan, P. M. Hartigan, "The dip test of unimodality", Annals of Statistics 13
    (1985), doi:10.1214/aos/1176346577; computed by diptest, its p-value interpolated in a table.
    D. W. Scott, "Multivariate density estimation", Wiley 1992, for the bandwidth.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> one = rng.normal(size=500)
    >>> unimodality(one).one_mode, unimodality(np.concatenate([one, one + 5])).one_mode
    (True, False)
    """
    values = np.sort(np.asarray(scores, dtype=np.float64))
    if len(values) < 4 or values[0] == values[-1]:
        raise InsufficientDataError(
            f"the dip test needs at least 4 scores that are not all equal, got {len(values)}"
        )
    dip, p_value = _diptest().diptest(values)
    points = np.linspace(values[0], values[-1], _DENSITY_POINTS)
    density = _density(values, points)
    inner = density[1:-1]
    peaks = (inner > density[:-2]) & (inner >= density[2:]) & (inner > 0.05 * density.max())
    at_the_ends = int(density[0] > density[1]) + int(density[-1] > density[-2])
    return Unimodality(
        dip=float(dip),
        p_value=float(p_value),
        modes=int(peaks.sum()) + at_the_ends,
        n_scores=len(values),
    )


def overlap_coefficient(one: ArrayLike, other: ArrayLike) -> float:
    """Return the area that two distributions share, ``integral min(f, g)``.

    The densities are Gaussian kernel estimates at Scott's bandwidth.

    Parameters
    ----------
    one, other : array_like of float, shape (N,) and (M,)

    Returns
    -------
    float
        In [0, 1]: 0 for distributions that lie apart, 1 for equal ones.

    Raises
    ------
    InsufficientDataError
        If one of them has fewer than two different scores.

    Notes
    -----
    Source: H. F. Inman, E. L. Bradley, "The overlapping coefficient as a measure of agreement
    between probability distributions", Communications in Statistics 18 (1989),
    doi:10.1080/03610928908830127.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> one = rng.normal(size=2000)
    >>> round(overlap_coefficient(one, one + 2), 1)  # 2 Phi(-1) = 0.317
    0.3
    """
    samples = [np.asarray(scores, dtype=np.float64) for scores in (one, other)]
    for sample in samples:
        if len(sample) < 2 or sample.min() == sample.max():
            raise InsufficientDataError("an overlap needs two different scores on each side")
    joined = np.concatenate(samples)
    margin = 0.2 * np.ptp(joined)
    points = np.linspace(joined.min() - margin, joined.max() + margin, _DENSITY_POINTS)
    lower = np.minimum(*(_density(sample, points) for sample in samples))
    return float(min(np.trapezoid(lower, points), 1.0))


def _density(values: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    # Quantiles stand for many values: the cost grows with values times points.
    if len(values) > _DENSITY_SAMPLE:
        values = np.quantile(values, (np.arange(_DENSITY_SAMPLE) + 0.5) / _DENSITY_SAMPLE)
    density: NDArray[np.float64] = stats.gaussian_kde(values)(points)
    return density


def compare_kinds(
    table: PatchTable, kinds: Sequence[str], *, rng: np.random.Generator, n_resamples: int
) -> list[dict[str, Any]]:
    """Compare the scores of each pair of kinds.

    Parameters
    ----------
    table : PatchTable
    kinds : sequence of str
        In the order of scores that the paper expects.
    rng : numpy.random.Generator
    n_resamples : int
        Of the bootstrap over images.

    Returns
    -------
    list of dict
        A pair each: ``lower``, ``higher``, ``auroc`` (the chance that a patch of ``higher``
        scores above one of ``lower``), its 95 % ``interval``, ``overlap``. Pairs with fewer than
        20 patches of a kind (`FEWEST_PATCHES`) are left out.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = PatchTable(image=np.arange(80) // 4, corners=np.zeros((80, 2)),
    ...                    kinds=["a", "b"] * 40, lung_share=np.ones(80), grey=np.zeros(80),
    ...                    scores=[1.0, 2.0] * 40 + rng.random(80))
    >>> compare_kinds(table, ("a", "b"), rng=rng, n_resamples=10)[0]["auroc"]
    1.0
    """
    rows = []
    for lower, higher in itertools.combinations(kinds, 2):
        both = table.select(np.isin(table.kinds, (lower, higher)))
        positive = both.kinds == higher
        if min(positive.sum(), (~positive).sum()) < FEWEST_PATCHES:
            continue
        rows.append(
            {
                "lower": lower,
                "higher": higher,
                "auroc": auroc(both.scores, positive),
                "interval": interval_over_images(both, higher, rng=rng, n_resamples=n_resamples),
                "overlap": overlap_coefficient(both.scores[~positive], both.scores[positive]),
            }
        )
    return rows


def interval_over_images(
    table: PatchTable, positive: str, *, rng: np.random.Generator, n_resamples: int
) -> tuple[float, float]:
    """Return the bootstrap interval of the AUROC of a kind against the others, by image.

    Images are drawn, not patches, since patches of one image are alike.

    Parameters
    ----------
    table : PatchTable
    positive : str
    rng : numpy.random.Generator
    n_resamples : int

    Returns
    -------
    tuple of float
        Lower and upper end, 95 %.

    Examples
    --------
    >>> table = PatchTable(image=np.arange(8) // 2, corners=np.zeros((8, 2)), kinds=["a", "b"] * 4,
    ...                    lung_share=np.ones(8), grey=np.zeros(8), scores=np.arange(8) % 2)
    >>> interval_over_images(table, "b", rng=np.random.default_rng(0), n_resamples=10)
    (1.0, 1.0)
    """
    order = np.argsort(table.image, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(table.image[order])) + 1)
    is_positive = table.kinds == positive

    def statistic(chosen: NDArray[np.int64]) -> float:
        rows = np.concatenate([rows_of[image] for image in chosen])
        return auroc(table.scores[rows], is_positive[rows])

    return bootstrap_interval(
        statistic, [np.arange(len(rows_of))], rng=rng, n_resamples=n_resamples
    )


@attrs.frozen(kw_only=True)
class KindRule:
    """Table 1: thresholds on the score that tell the kinds, and how well they do.

    Parameters
    ----------
    kinds : tuple of str
        In the order of scores that the paper expects.
    thresholds : tuple of float
        One less; found without labels, as the paper reads them off the histogram.
    confusion : tuple of tuple of int
        Rows are what a patch is, columns what the rule calls it.
    balanced_accuracy : float
        Mean over the kinds of the share called rightly.
    best_balanced_accuracy : float
        The same for the best thresholds there are, chosen with the labels, whatever order the
        kinds come in: no threshold can do better.
    best_order : tuple of str
        The kinds, from low scores to high, of that best rule.

    Examples
    --------
    >>> rule = table_1_rule([1, 2, 5, 6, 9, 10], list("aabbcc"), kinds=("a", "b", "c"))
    >>> rule.thresholds, rule.balanced_accuracy
    ((3.5, 7.5), 1.0)
    """

    kinds: tuple[str, ...]
    thresholds: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]
    balanced_accuracy: float
    best_balanced_accuracy: float
    best_order: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, JSON-ready."""
        return attrs.asdict(self)


def table_1_rule(
    scores: ArrayLike, patch_kinds: ArrayLike, *, kinds: Sequence[str], fit_on: ArrayLike = ()
) -> KindRule:
    """Set the thresholds of the paper's table 1 and see how well they tell the kinds.

    Parameters
    ----------
    scores : array_like of float, shape (N,)
    patch_kinds : array_like of str, shape (N,)
        Patches that are none of ``kinds`` are not judged.
    kinds : sequence of str
        In the order of scores that the paper expects.
    fit_on : array_like of float, optional
        The scores that the thresholds are set on; by default ``scores``.

    Returns
    -------
    KindRule

    Raises
    ------
    InsufficientDataError
        If a kind has no patch, or there are fewer different scores than kinds.

    Examples
    --------
    >>> table_1_rule([1, 2, 5, 6, 9, 10], list("aabbcc"), kinds=("a", "b", "c")).confusion
    ((2, 0, 0), (0, 2, 0), (0, 0, 2))
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(patch_kinds, dtype=np.str_)
    known = np.isin(truth, list(kinds))
    values_known, truth_known = values[known], truth[known]
    missing = [kind for kind in kinds if not (truth_known == kind).any()]
    if missing:
        raise InsufficientDataError(f"there is no patch that is known to be {missing[0]}")
    everything = np.asarray(fit_on, dtype=np.float64)
    rule = MultiOtsuThresholder(classes=len(kinds)).fit(everything if everything.size else values)
    called = rule.classify(values_known)
    counts = confusion_counts(truth_known, called, kinds)
    best, order = max(
        (best_ordered_accuracy([values_known[truth_known == kind] for kind in order]), order)
        for order in itertools.permutations(kinds)
    )
    return KindRule(
        kinds=tuple(kinds),
        thresholds=rule.thresholds_,
        confusion=tuple(tuple(row) for row in counts.tolist()),
        balanced_accuracy=balanced_accuracy(counts),
        best_balanced_accuracy=best,
        best_order=order,
    )


def confusion_counts(
    truth: NDArray[np.str_], called: NDArray[np.int64], kinds: Sequence[str]
) -> NDArray[np.int64]:
    """Count, for each kind (row), how many patches were put into each class (column).

    Examples
    --------
    >>> confusion_counts(np.array(["a", "a", "b"]), np.array([0, 1, 1]), ("a", "b")).tolist()
    [[1, 1], [0, 1]]
    """
    return np.array(
        [np.bincount(called[truth == kind], minlength=len(kinds)) for kind in kinds],
        dtype=np.int64,
    )


def balanced_accuracy(confusion: NDArray[np.int64]) -> float:
    """Return the mean over the rows of the share on the diagonal.

    Examples
    --------
    >>> balanced_accuracy(np.array([[8, 2], [1, 1]]))
    0.65
    """
    return float((np.diagonal(confusion) / confusion.sum(axis=1)).mean())


def best_ordered_accuracy(groups: Sequence[NDArray[np.float64]]) -> float:
    """Return the highest balanced accuracy of any thresholds that put groups in this order.

    Exact: with ascending thresholds the share rightly called is a sum of one term a threshold,
    ``F_k(t_k) - F_k+1(t_k)`` with the groups' distribution functions, plus 1.

    Parameters
    ----------
    groups : sequence of ndarray of float64
        Scores of each kind, from the one called lowest to the one called highest.

    Returns
    -------
    float
        In [1 / K, 1] for K groups.

    Examples
    --------
    >>> best_ordered_accuracy([np.array([1.0, 2.0]), np.array([2.0, 3.0])])
    0.75
    """
    cuts = np.concatenate([[-np.inf], np.unique(np.concatenate(groups))])
    below = [np.searchsorted(np.sort(group), cuts, side="right") / len(group) for group in groups]
    best = np.zeros(len(cuts))
    for lower, higher in itertools.pairwise(below):
        best = np.maximum.accumulate(best + lower - higher)
    return float((best[-1] + 1) / len(groups))


def compare_images(
    values: Mapping[str, NDArray[np.float64]],
    groups: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    *,
    rng: np.random.Generator,
    n_resamples: int,
) -> list[dict[str, Any]]:
    """Compare groups of images by values of whole images: the method's score, and controls.

    Parameters
    ----------
    values : mapping of str to ndarray of float64, shape (N,)
        By name; images of NaN are left out.
    groups : mapping of str to tuple of ndarray of bool, shape (N,)
        By name of the comparison: the images expected to be lower, and to be higher.
    rng : numpy.random.Generator
    n_resamples : int
        Of the bootstrap over images.

    Returns
    -------
    list of dict
        ``comparison``, ``n_lower``, ``n_higher``, and ``auroc`` and ``intervals`` by value.
        Comparisons with fewer than two images on a side are left out.

    Examples
    --------
    >>> value = {"grey": np.array([1.0, 2.0, 3.0, 4.0])}
    >>> sick = np.array([False, False, True, True])
    >>> rows = compare_images(value, {"folders": (~sick, sick)}, rng=np.random.default_rng(0),
    ...                      n_resamples=20)
    >>> rows[0]["auroc"]
    {'grey': 1.0}
    """
    rows = []
    for comparison, (lower, higher) in groups.items():
        if min(lower.sum(), higher.sum()) < 2:
            continue
        found: dict[str, float] = {}
        intervals: dict[str, tuple[float, float]] = {}
        for name, value in values.items():
            chosen = (lower | higher) & ~np.isnan(value)
            labels = higher[chosen]
            if not 0 < labels.sum() < len(labels):
                continue
            found[name] = auroc(value[chosen], labels)
            intervals[name] = bootstrap_interval(
                auroc, [value[chosen], labels], rng=rng, n_resamples=n_resamples
            )
        rows.append(
            {
                "comparison": comparison,
                "n_lower": int(lower.sum()),
                "n_higher": int(higher.sum()),
                "auroc": found,
                "intervals": intervals,
            }
        )
    return rows


def _diptest() -> Any:
    return import_extra("diptest", needed_by="the dip test", extra="reproduce")
