"""Checks of what does not depend on the batch, for models and extractors alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lungpatch.containers import PatchBatch
from lungpatch.testing.comparing import difference, joined
from lungpatch.testing.runner import require
from lungpatch.testing.state_checks import State

Call = Callable[[PatchBatch], State]
"""From patches to named arrays, a row a patch."""

Patches = Callable[[], PatchBatch]
"""Makes the patches anew each time: what works in place fails a check of its own."""


def require_order_kept(call: Call, patches: Patches) -> None:
    """Require that results come in the order of the patches."""
    order = np.random.default_rng(0).permutation(len(patches()))
    wanted = {name: array[order] for name, array in call(patches()).items()}
    differs = difference(call(patches()[order]), wanted, exact=False)
    require(
        not differs,
        f"Of the patches in another order {differs}. Do not sort, and let nothing depend on the "
        "patch's place in the batch.",
    )


def require_batch_may_be_split(call: Call, patches: Patches) -> None:
    """Require that a patch's result does not depend on the other patches of the batch."""
    count = len(patches())
    # One patch alone, too: what squeeze() takes away.
    parts = [call(patches()[part]) for part in np.split(np.arange(count), [count - 1])]
    differs = difference(joined(parts), call(patches()), exact=False)
    require(
        not differs,
        f"In two batches {differs}. Call network.eval(), which ends batch normalisation by the "
        "batch, and normalise by no mean of the batch.",
    )
