"""What becomes of the output of a network that finds lungs: a probability, and a clean mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, special

from lungpatch.networks.lung_input import interpolate

if TYPE_CHECKING:
    from lungpatch.containers import BoolImage, FloatImage

LUNG_PROBABILITY = 0.4
"""Minimum probability of lung. It is a little below one half: on the training pairs Dice is as
good to 0.001, and opaque lung, which a detector must not lose, is covered better."""

MIN_FRACTION = 0.1
"""Minimum area of the second component, as a fraction of the first; a smaller one is no lung."""


def probability(logits: FloatImage) -> FloatImage:
    """Return the probability of lung of each cell, from the log-odds.

    Examples
    --------
    >>> import numpy as np
    >>> probability(np.zeros((1, 2), np.float32))
    array([[0.5, 0.5]], dtype=float32)
    """
    odds: FloatImage = special.expit(logits)
    return odds


def lungs_from_logits(logits: FloatImage, shape: tuple[int, int]) -> BoolImage:
    """Return the lung mask of a given shape from the output of the network.

    Parameters
    ----------
    logits : ndarray of float32, shape (h, w)
        Log-odds of lung of each cell.
    shape : tuple of int
        Shape (H, W) of the mask.

    Returns
    -------
    ndarray of bool, shape (H, W)
        At most two components, without holes.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.full((4, 4), -5.0, np.float32)
    >>> logits[:2, :2] = 5.0
    >>> lungs_from_logits(logits, (4, 4)).sum()
    np.int64(4)
    """
    margin = logits - np.float32(special.logit(LUNG_PROBABILITY))
    lungs = two_solid_components(margin > 0.0)
    # Where a cell was removed or added its margin changes sign, so that borders stay smooth.
    margin = np.abs(margin)
    mask: BoolImage = interpolate(np.where(lungs, margin, -margin), shape) > 0.0
    # Interpolation itself neither splits a component nor opens a hole, but in the mask a neck or a
    # channel that is thinner than a pixel does.
    if set(euler_numbers(mask)) != {euler_numbers(lungs)[0]}:
        mask = two_solid_components(mask)
    return mask


def two_solid_components(mask: BoolImage) -> BoolImage:
    """Keep the two largest components (4-connected) and fill their holes.

    The second one is removed too if its area is less than a tenth of the first.

    Examples
    --------
    >>> import numpy as np
    >>> ring = np.array([[1, 1, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0]], bool)
    >>> two_solid_components(ring).astype(int)
    array([[1, 1, 1, 0, 1],
           [1, 1, 1, 0, 1],
           [1, 1, 1, 0, 0]])
    """
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel(), minlength=2)
    sizes[0] = 0
    kept = np.zeros(len(sizes), bool)
    kept[np.argsort(sizes)[-2:]] = True
    kept &= sizes > MIN_FRACTION * sizes.max()
    solid: BoolImage = kept[components]
    if set(euler_numbers(solid)) == {kept.sum()}:
        return solid
    background, _ = ndimage.label(~solid)
    edges = (background[0], background[-1], background[:, 0], background[:, -1])
    outside = np.zeros(background.max() + 1, bool)
    outside[np.concatenate(edges)] = True
    outside[0] = False
    filled: BoolImage = ~outside[background]
    return filled


def euler_numbers(mask: BoolImage) -> tuple[int, int]:
    """Return the number of components less the number of holes, for 4- and 8-connected pixels.

    If both equal the number of components there is no hole, whether the background is 4- or
    8-connected.

    Examples
    --------
    >>> import numpy as np
    >>> euler_numbers(np.eye(3, dtype=bool)), euler_numbers(np.ones((3, 3), bool))
    ((3, 1), (1, 1))
    """
    beside = mask[:, 1:] & mask[:, :-1]
    below = mask[1:] & mask[:-1]
    squares = beside[1:] & beside[:-1]
    unlike = mask[:, 1:] ^ mask[:, :-1]
    corners = unlike[1:] & unlike[:-1] & (mask[1:, 1:] ^ mask[:-1, 1:])
    pixels, rows, columns, blocks, touching = (
        int(np.count_nonzero(cells)) for cells in (mask, beside, below, squares, corners)
    )
    by_sides = pixels - rows - columns + blocks
    return by_sides, by_sides - touching
