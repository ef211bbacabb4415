"""Clusters of difference images, which the paper proposes instead of one score per patch."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch._utils.extras import import_extra
from lungpatch.reference.claims import balanced_accuracy, confusion_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lungpatch.containers import FloatImage

MAX_FITTED = 5000
"""Maximum number of patches that the centres are found on; all are put into clusters."""


def cluster(
    features: NDArray[np.floating], *, clusters: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Put patches into clusters by k-means.

    Each feature is divided by its standard deviation. K-means is Lloyd's algorithm [1]_ from
    k-means++ starts, computed by scikit-learn.

    Parameters
    ----------
    features : ndarray of float, shape (N, F)
        Finite values. A feature with one value only is not divided.
    clusters : int
        Number of clusters.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int64, shape (N,)
        From 0 to ``clusters - 1``, in the order of the centres' mean.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.

    See Also
    --------
    lungpatch.reference.difference_features : Features of difference images.
    lungpatch.reference.evaluate_classes : Compares clusters with the kinds of the patches.

    References
    ----------
    .. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information
       Theory 28, 1982, doi:10.1109/TIT.1982.1056489.

    Examples
    --------
    >>> from lungpatch.reference import cluster
    >>> found = cluster(np.array([[9.0], [1.0], [9.1], [1.1]]), clusters=2,
    ...                 rng=np.random.default_rng(0))
    >>> found.tolist()
    [1, 0, 1, 0]
    """
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    fitted = rng.permutation(len(scaled))[:MAX_FITTED]
    k_means = _sklearn("cluster").KMeans(
        n_clusters=clusters, n_init=4, random_state=int(rng.integers(2**31))
    )
    k_means.fit(scaled[fitted])
    rank = np.argsort(np.argsort(k_means.cluster_centers_.mean(axis=1)))
    ordered: NDArray[np.int64] = rank[k_means.predict(scaled)]
    return ordered


def difference_features(differences: FloatImage) -> NDArray[np.float64]:
    """Describe difference images by six numbers each.

    Parameters
    ----------
    differences : ndarray of float32, shape (N, P, P)
        Input minus output, in grey levels.

    Returns
    -------
    ndarray of float64, shape (N, 6)
        Mean, mean absolute value, standard deviation, maximum absolute value, mean absolute step
        between neighbours (how fine the difference is), and fraction of pixels above 0.

    See Also
    --------
    lungpatch.reference.cluster : Puts patches into clusters by them.

    Examples
    --------
    >>> from lungpatch.reference import difference_features
    >>> difference_features(np.array([[[1.0, -1.0], [1.0, -1.0]]], np.float32))
    array([[0. , 1. , 1. , 1. , 1. , 0.5]])
    """
    signed = differences.astype(np.float64)
    axes = (1, 2)
    size = np.abs(signed)
    down = np.abs(np.diff(signed, axis=1)).mean(axis=axes)
    right = np.abs(np.diff(signed, axis=2)).mean(axis=axes)
    return np.stack(
        [
            signed.mean(axis=axes),
            size.mean(axis=axes),
            signed.std(axis=axes),
            size.max(axis=axes),
            (down + right) / 2,
            (signed > 0).mean(axis=axes),
        ],
        axis=1,
    )


def evaluate_classes(
    predicted: NDArray[np.int64], truth: NDArray[np.str_], kinds: Sequence[str], *, named: bool
) -> dict[str, Any]:
    """Compare classes of patches with their kinds.

    Parameters
    ----------
    predicted : ndarray of int64, shape (N,)
        The class of each patch.
    truth : ndarray of str, shape (N,)
        The kind of each patch. Patches of other kinds than ``kinds`` are left out.
    kinds : sequence of str
        Each must have a patch.
    named : bool
        Whether class ``k`` stands for ``kinds[k]``. If not, as with clusters, classes are matched
        to kinds so that they fit best, which uses the labels and makes the result look better.

    Returns
    -------
    dict
        ``adjusted_rand`` (the adjusted Rand index [1]_: 0 by chance, 1 for the same partition),
        ``balanced_accuracy`` and ``confusion``.

    See Also
    --------
    lungpatch.reference.cluster : Makes clusters.

    References
    ----------
    .. [1] L. Hubert, P. Arabie, "Comparing partitions", Journal of Classification 2, 1985,
       doi:10.1007/BF01908075.

    Examples
    --------
    >>> from lungpatch.reference import evaluate_classes
    >>> truth = np.array(["a", "a", "b", "b"])
    >>> found = evaluate_classes(np.array([1, 1, 0, 0]), truth, ("a", "b"), named=False)
    >>> found["adjusted_rand"], found["balanced_accuracy"]
    (1.0, 1.0)
    """
    known = np.isin(truth, list(kinds))
    counts = confusion_counts(truth[known], predicted[known], kinds)
    if not named:
        orders = itertools.permutations(range(len(kinds)))
        best = max(orders, key=lambda order: balanced_accuracy(counts[:, list(order)]))
        counts = counts[:, list(best)]
    rand = _sklearn("metrics").adjusted_rand_score(truth[known], predicted[known])
    return {
        "adjusted_rand": float(rand),
        "balanced_accuracy": balanced_accuracy(counts),
        "confusion": counts.tolist(),
    }


def _sklearn(module: str) -> Any:
    return import_extra(f"sklearn.{module}", needed_by="clustering", extra="reproduce")
