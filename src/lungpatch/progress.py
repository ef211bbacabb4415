"""How long work says how far it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

ProgressCallback = Callable[[str, int, int, Mapping[str, float]], None]
"""Called as ``progress(stage, done, total, figures)``; ``figures`` may be empty."""


def silent(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    """Say nothing."""


@contextlib.contextmanager
def progress_bar() -> Iterator[ProgressCallback]:
    """Show a bar a stage, with rate and time left, on the terminal (standard error).

    Yields
    ------
    callable
        To pass as ``progress``.

    Examples
    --------
    >>> with progress_bar() as progress:
    ...     for i in range(3):
    ...         progress("read", i + 1, 3, {})
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=15),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, figures="")
            # One figure is what a line of 80 columns has room for: the last is what matters most.
            text = "".join(f"{name} {value:.3g}" for name, value in [*figures.items()][-1:])
            bars.update(tasks[stage], completed=done, total=total, figures=text)

        yield show
