"""Progress of long work: a bar per stage, in a terminal or a notebook."""

from __future__ import annotations

import contextlib
import html
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_SECONDS_BETWEEN_DRAWINGS = 0.2
_SECONDS_BETWEEN_LINES = 10.0

ProgressCallback = Callable[[str, int, int, Mapping[str, float]], None]
"""Called as ``progress(stage, done, total, metrics)``; ``metrics`` may be empty."""


def silent(_stage: str, _done: int, _total: int, _metrics: Mapping[str, float]) -> None:
    """Report nothing.

    Examples
    --------
    >>> silent("read", 1, 3, {})
    """


@contextlib.contextmanager
def progress_bar() -> Iterator[ProgressCallback]:
    """Show one progress bar per stage, with the rate and the time left.

    The bars appear on standard error, or in the cell of a notebook. If standard error is not a
    terminal, as in a log file, they are plain lines: at the start and at the end of each stage, and
    every ten seconds in between.

    Yields
    ------
    callable
        Pass it as ``progress`` to `lungpatch.Pipeline.fit` and others.

    Examples
    --------
    >>> with progress_bar() as progress:
    ...     for i in range(3):
    ...         progress("read", i + 1, 3, {})
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_jupyter:
        bars = _notebook_bars()
    else:
        bars = _terminal_bars(console) if console.is_terminal else _plain_lines(console)
    with bars as progress:
        yield progress


@contextlib.contextmanager
def _terminal_bars(console: Console) -> Iterator[ProgressCallback]:
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
        TextColumn("{task.fields[metric]}"),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, metric="")
            metric = _last_metric(metrics)
            bars.update(tasks[stage], completed=done, total=total, metric=metric)

        yield show


@contextlib.contextmanager
def _plain_lines(console: Console) -> Iterator[ProgressCallback]:
    began: dict[str, float] = {}
    printed: dict[str, float] = {}

    def show(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        now = time.monotonic()
        seconds = now - began.setdefault(stage, now)
        if done < total and now - printed.get(stage, -math.inf) < _SECONDS_BETWEEN_LINES:
            return
        printed[stage] = now
        line = f"{stage}: {done}/{total}, {seconds:.0f} s {_last_metric(metrics)}"
        console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)

    yield show


@contextlib.contextmanager
def _notebook_bars() -> Iterator[ProgressCallback]:
    """Redraw a table of bars in place; the bars of rich stay blank without ipywidgets."""
    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)
    rows: dict[str, str] = {}
    began: dict[str, float] = {}
    drawn = -math.inf

    def draw() -> None:
        handle.update(HTML(f"<table>{''.join(rows.values())}</table>"))

    def show(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        nonlocal drawn
        now = time.monotonic()
        seconds = now - began.setdefault(stage, now)
        left = f", {seconds / done * (total - done):.0f} s left" if 0 < done < total else ""
        rows[stage] = (
            f'<tr><td>{html.escape(stage)}</td><td><progress value="{done}" max="{total}">'
            f"</progress></td><td>{done}/{total}</td><td>{seconds:.0f} s{left}</td>"
            f"<td>{html.escape(_last_metric(metrics))}</td></tr>"
        )
        if now - drawn > _SECONDS_BETWEEN_DRAWINGS:
            drawn = now
            draw()

    try:
        yield show
    finally:
        draw()  # the final state, also after an interruption


def _last_metric(metrics: Mapping[str, float]) -> str:
    # A line of 80 columns has room for one metric; the last one matters most.
    return "".join(f"{name} {value:.3g}" for name, value in [*metrics.items()][-1:])
