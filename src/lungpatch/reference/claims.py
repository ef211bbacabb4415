"""Statistics that test what the paper claims: one mode or three kinds, normal or pneumonia."""

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

MIN_PATCHES = 20
"""Minimum number of patches of a kind that is compared."""

SIGNIFICANCE = 0.05
"""One mode is rejected where the p-value is lower."""

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
        Probability of such a dip, or a larger one, in N independent draws from a uniform
        distribution.
    modes : int
        Number of peaks of a Gaussian kernel density at Scott's bandwidth that are higher than 5 %
        of the highest.
    n_scores : int

    See Also
    --------
    lungpatch.reference.unimodality : Makes it.

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
        """Whether one mode is not rejected, at `SIGNIFICANCE`."""
        return self.p_value >= SIGNIFICANCE

    def to_dict(self) -> dict[str, Any]:
        """Return all values, JSON-ready."""
        return attrs.asdict(self) | {"one_mode": self.one_mode}


def unimodality(scores: ArrayLike) -> Unimodality:
    """Test whether scores come from a distribution with one mode.

    This is the dip test [1]_, computed by diptest, with a p-value interpolated in a table. Modes
    are counted in a kernel density, with the bandwidth of [2]_.

    Overlapping patches, and patches of one image, are not independent, so that the test rejects
    one mode too readily: one mode that is not rejected is a strong result, a rejection a weak one.

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

    See Also
    --------
    lungpatch.reference.overlap_coefficient : How much two distributions overlap.

    References
    ----------
    .. [1] J. A. Hartigan, P. M. Hartigan, "The dip test of unimodality", Annals of Statistics 13,
       1985, doi:10.1214/aos/1176346577.
    .. [2] D. W. Scott, "Multivariate density estimation", Wiley 1992.

    Examples
    --------
    >>> from lungpatch.reference import unimodality
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
    """Return the area below both of two densities, ``integral min(f, g)``.

    This is the overlapping coefficient [1]_. The densities are Gaussian kernel estimates at
    Scott's bandwidth.

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

    See Also
    --------
    lungpatch.reference.unimodality : Whether one distribution has one mode.

    References
    ----------
    .. [1] H. F. Inman, E. L. Bradley, "The overlapping coefficient as a measure of agreement
       between probability distributions", Communications in Statistics 18, 1989,
       doi:10.1080/03610928908830127.

    Examples
    --------
    >>> from lungpatch.reference import overlap_coefficient
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
        Number of resamples of the bootstrap over images.

    Returns
    -------
    list of dict
        One per pair: ``lower``, ``higher``, ``auroc`` (the probability that a patch of ``higher``
        scores above one of ``lower``), its 95 % ``interval``, and ``overlap``. Pairs with fewer
        than 20 patches of a kind (`MIN_PATCHES`) are left out.

    Examples
    --------
    >>> from lungpatch.reference import PatchTable
    >>> rng = np.random.default_rng(0)
    >>> table = PatchTable(image=np.arange(80) // 4, corners=np.zeros((80, 2)),
    ...                    kinds=["a", "b"] * 40, lung_fraction=np.ones(80), grey=np.zeros(80),
    ...                    scores=[1.0, 2.0] * 40 + rng.random(80))
    >>> compare_kinds(table, ("a", "b"), rng=rng, n_resamples=10)[0]["auroc"]
    1.0
    """
    rows = []
    for lower, higher in itertools.combinations(kinds, 2):
        both = table.select(np.isin(table.kinds, (lower, higher)))
        positive = both.kinds == higher
        if min(positive.sum(), (~positive).sum()) < MIN_PATCHES:
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


def aurocs_by_kind(
    scores: NDArray[np.float64], patch_kinds: NDArray[np.str_], kinds: Sequence[str]
) -> dict[str, float | None]:
    """Return the AUROC of each kind against the first.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
    patch_kinds : ndarray of str, shape (N,)
    kinds : sequence of str
        The first is the one expected to score lowest.

    Returns
    -------
    dict of str to float or None
        For each kind but the first; None where there are fewer than 20 patches (`MIN_PATCHES`) of
        it or of the first.

    Examples
    --------
    >>> kinds = np.array(["a", "b"] * 20 + ["c"])
    >>> aurocs_by_kind((kinds != "a").astype(float), kinds, ("a", "b", "c"))
    {'b': 1.0, 'c': None}
    """
    first = patch_kinds == kinds[0]
    found: dict[str, float | None] = {}
    for kind in kinds[1:]:
        of_kind = patch_kinds == kind
        both = first | of_kind
        enough = min(first.sum(), of_kind.sum()) >= MIN_PATCHES
        found[kind] = auroc(scores[both], of_kind[both]) if enough else None
    return found


def interval_over_images(
    table: PatchTable, positive: str, *, rng: np.random.Generator, n_resamples: int
) -> tuple[float, float]:
    """Return the bootstrap interval of the AUROC of a kind against the others.

    Images are resampled, not patches, since patches of one image are alike.

    Parameters
    ----------
    table : PatchTable
    positive : str
        The kind that is expected to score higher.
    rng : numpy.random.Generator
    n_resamples : int

    Returns
    -------
    tuple of float
        Lower and upper end, 95 %.

    Examples
    --------
    >>> from lungpatch.reference import PatchTable
    >>> table = PatchTable(image=np.arange(8) // 2, corners=np.zeros((8, 2)), kinds=["a", "b"] * 4,
    ...                    lung_fraction=np.ones(8), grey=np.zeros(8), scores=np.arange(8) % 2)
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
    """Table 1: thresholds on the score that separate the kinds, and how well they do.

    Parameters
    ----------
    kinds : tuple of str
        In the order of scores that the paper expects.
    thresholds : tuple of float
        One fewer than there are kinds. Found without labels, as the paper reads them off the
        histogram.
    confusion : tuple of tuple of int
        Numbers of patches: rows are true kinds, columns predicted ones.
    balanced_accuracy : float
        Mean over the kinds of the fraction classified correctly.
    best_balanced_accuracy : float
        The same for the best thresholds, chosen with the labels, with the kinds in any order: no
        thresholds can do better.
    best_order : tuple of str
        The kinds of that best rule, from low scores to high.

    See Also
    --------
    lungpatch.reference.table_1_rule : Makes it.
    lungpatch.reference.plot_kind_table, lungpatch.reference.plot_confusion : Draw it.

    Examples
    --------
    >>> from lungpatch.reference import table_1_rule
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
        """Return all values, JSON-ready."""
        return attrs.asdict(self)


def table_1_rule(
    scores: ArrayLike, patch_kinds: ArrayLike, *, kinds: Sequence[str], fit_on: ArrayLike = ()
) -> KindRule:
    """Find the thresholds of the paper's table 1 and measure how well they separate the kinds.

    Parameters
    ----------
    scores : array_like of float, shape (N,)
    patch_kinds : array_like of str, shape (N,)
        Patches of other kinds than ``kinds`` are not evaluated.
    kinds : sequence of str
        In the order of scores that the paper expects.
    fit_on : array_like of float, optional
        The scores that the thresholds are found on; by default ``scores``.

    Returns
    -------
    KindRule

    Raises
    ------
    InsufficientDataError
        If a kind has no patch, or there are fewer different scores than kinds.

    See Also
    --------
    lungpatch.thresholders.MultiOtsuThresholder : Finds the thresholds.

    Examples
    --------
    >>> from lungpatch.reference import table_1_rule
    >>> table_1_rule([1, 2, 5, 6, 9, 10], list("aabbcc"), kinds=("a", "b", "c")).confusion
    ((2, 0, 0), (0, 2, 0), (0, 0, 2))
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(patch_kinds, dtype=np.str_)
    known = np.isin(truth, list(kinds))
    values_known, truth_known = values[known], truth[known]
    missing = [kind for kind in kinds if not (truth_known == kind).any()]
    if missing:
        raise InsufficientDataError(f"there is no patch that is known to be {missing[0]}")
    given = np.asarray(fit_on, dtype=np.float64)
    rule = MultiOtsuThresholder(classes=len(kinds)).fit(given if given.size else values)
    counts = confusion_counts(truth_known, rule.classify(values_known), kinds)
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
    truth: NDArray[np.str_], predicted: NDArray[np.int64], kinds: Sequence[str]
) -> NDArray[np.int64]:
    """Count, for each kind (row), how many patches were put into each class (column).

    Parameters
    ----------
    truth : ndarray of str, shape (N,)
        Kinds of patches.
    predicted : ndarray of int64, shape (N,)
        Their classes, from 0 to K - 1.
    kinds : sequence of str
        The K kinds.

    Returns
    -------
    ndarray of int64, shape (K, K)

    Examples
    --------
    >>> confusion_counts(np.array(["a", "a", "b"]), np.array([0, 1, 1]), ("a", "b")).tolist()
    [[1, 1], [0, 1]]
    """
    return np.array(
        [np.bincount(predicted[truth == kind], minlength=len(kinds)) for kind in kinds],
        dtype=np.int64,
    )


def balanced_accuracy(confusion: NDArray[np.int64]) -> float:
    """Return the mean over the rows of the fraction on the diagonal.

    Parameters
    ----------
    confusion : ndarray of int, shape (K, K)
        Rows are true classes.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> balanced_accuracy(np.array([[8, 2], [1, 1]]))
    0.65
    """
    return float((np.diagonal(confusion) / confusion.sum(axis=1)).mean())


def best_ordered_accuracy(groups: Sequence[NDArray[np.float64]]) -> float:
    """Return the highest balanced accuracy that thresholds can reach with groups in this order.

    It is exact: with ascending thresholds, the sum of the fractions classified correctly has one
    term per threshold, ``F_k(t_k) - F_k+1(t_k)`` with the groups' distribution functions, plus 1.

    Parameters
    ----------
    groups : sequence of ndarray of float64
        Scores of each kind, from the kind predicted for low scores to that for high ones.

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
        One value per image, by name; images with NaN are left out.
    groups : mapping of str to tuple of ndarray of bool, shape (N,)
        By name of the comparison: the images expected to have low values, and those expected to
        have high ones.
    rng : numpy.random.Generator
    n_resamples : int
        Number of resamples of the bootstrap over images.

    Returns
    -------
    list of dict
        ``comparison``, ``n_lower``, ``n_higher``, and ``auroc`` and ``intervals`` by value.
        Comparisons with fewer than two images on a side are left out.

    Examples
    --------
    >>> value = {"grey": np.array([1.0, 2.0, 3.0, 4.0])}
    >>> pneumonia = np.array([False, False, True, True])
    >>> rows = compare_images(value, {"folders": (~pneumonia, pneumonia)},
    ...                       rng=np.random.default_rng(0), n_resamples=20)
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
