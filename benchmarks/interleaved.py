"""Time contenders in turns, so that a change in the machine's load affects all of them alike."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def time_interleaved(
    contenders: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, float]:
    """Return the median milliseconds of ``repeats`` runs, after one run that is not counted."""
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(times) for name, times in seconds.items()}


def relative(medians: Mapping[str, float]) -> dict[str, str]:
    """Return the time of the first contender, and of the others in multiples of it."""
    (first, unit), *others = medians.items()
    return {first: f"{unit:.3g} ms (1)"} | {name: f"{each / unit:.2f}" for name, each in others}
