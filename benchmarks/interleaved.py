"""Time contenders in turns, so that a change in the machine's load hits all of them alike."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def time_interleaved(
    contenders: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, list[float]]:
    """Seconds of each of ``repeats`` runs, after one run each that is not counted."""
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def print_table(title: str, seconds: Mapping[str, list[float]]) -> None:
    """Print medians and their ratios to the first contender's."""
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ours = next(iter(medians.values()))
    width = max(map(len, medians))
    print(f"\n{title}")
    print(f"  {'':{width}}  {'median':>10}  {'fastest':>10}  {'ratio':>6}")
    for name, median in medians.items():
        fastest = min(seconds[name])
        times = f"{median * 1e3:7.2f} ms  {fastest * 1e3:7.2f} ms"
        print(f"  {name:{width}}  {times}  {median / ours:6.2f}")
