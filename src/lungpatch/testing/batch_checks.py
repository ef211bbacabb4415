"""Checks that the result of a patch does not depend on the rest of its batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lungpatch.testing.comparing import Arrays, difference, joined
from lungpatch.testing.runner import require
from lungpatch.testing.samples import PATCHES

Call = Callable[[NDArray[np.int64]], Arrays]
"""From indices of patches to named arrays, one row per patch.

Patches are made anew at each call: work in place is found by another check.
"""


def require_order_kept(call: Call) -> None:
    """Require that results come in the order of the patches."""
    order = np.random.default_rng(0).permutation(PATCHES)
    wanted = {name: array[order] for name, array in call(np.arange(PATCHES)).items()}
    differs = difference(call(order), wanted, exact=False)
    require(
        not differs,
        f"With the patches in another order, {differs}. Do not sort, and let no result depend on "
        "the position of a patch in the batch.",
    )


def require_batch_may_be_split(call: Call, advice: str) -> None:
    """Require that the result of a patch does not depend on the other patches of the batch."""
    # The last part is a single patch, whose axis squeeze() would remove.
    parts = [call(part) for part in np.split(np.arange(PATCHES), [PATCHES - 1])]
    differs = difference(joined(parts), call(np.arange(PATCHES)), exact=False)
    require(not differs, f"In two batches, {differs}. {advice}")
