"""From patch scores to one score an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ImageScore = Literal["max", "mean", "p95", "top-k mean"]
IMAGE_SCORES: tuple[str, ...] = get_args(ImageScore)


def image_score(values: NDArray[np.float64], rule: ImageScore, *, top_k: int = 10) -> float:
    """Sum up the patch scores of an image in one number.

    The maximum grows with the number of patches, so with the size of the lungs: prefer ``p95`` or
    ``top-k mean`` where images differ in it.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)
        Patch scores, N >= 1.
    rule : {"max", "mean", "p95", "top-k mean"}
        ``p95`` is the 95th percentile; ``top-k mean`` the mean of the ``top_k`` highest.
    top_k : int
        Used by ``top-k mean``; all patches where there are fewer.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> values = np.array([1.0, 2.0, 3.0, 10.0])
    >>> image_score(values, "max"), image_score(values, "top-k mean", top_k=2)
    (10.0, 6.5)
    """
    if rule == "max":
        return float(values.max())
    if rule == "mean":
        return float(values.mean())
    if rule == "p95":
        return float(np.percentile(values, 95))
    return float(np.sort(values)[-top_k:].mean())
