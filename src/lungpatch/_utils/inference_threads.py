"""On how many threads networks run on a CPU. Importing this module does not import torch."""

from __future__ import annotations

from lungpatch._utils.forks import after_fork


class _Setting:
    """A number that belongs to the whole process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.threads = 1


_setting = _Setting()
after_fork(_setting.reset)


def inference_threads() -> int:
    """Return on how many threads networks run on a CPU; 1 unless set, and in a forked child.

    Examples
    --------
    >>> inference_threads()
    1
    """
    return _setting.threads


def set_inference_threads(threads: int) -> None:
    """Set on how many threads networks run on a CPU.

    Examples
    --------
    >>> set_inference_threads(1)
    """
    _setting.threads = threads
