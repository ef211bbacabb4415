"""What a process must put right after `os.fork`: only the thread that called it lives on."""

from __future__ import annotations

# The locks of these two must be registered first, so that a fork takes them after the one below.
import concurrent.futures.thread  # noqa: F401
import functools
import logging  # noqa: F401
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IMPORTING = threading.RLock()
"""Held while a library is imported at its first use, and by nothing else.

A child of a fork inherits the import locks of threads that it does not inherit, and would wait for
them for ever. So a fork waits until no such import is under way.
"""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=IMPORTING.acquire,
        after_in_parent=IMPORTING.release,
        after_in_child=IMPORTING.release,
    )


def after_fork(action: Callable[[], None]) -> None:
    """Run an action in every child that is forked from now on, on systems that fork.

    Locks need it: one that another thread held at the fork stays locked in the child for ever.

    Parameters
    ----------
    action : callable

    Examples
    --------
    >>> after_fork(lambda: None)
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=action)


@functools.cache
def make_torch_fork_safe() -> None:
    """Let torch run on one thread in forked children, as in the workers of its DataLoader.

    The threads that OpenMP started in the parent are not in the child, and torch would wait for
    them for ever. Importing any component calls it.

    Examples
    --------
    >>> make_torch_fork_safe()
    """
    after_fork(_run_torch_on_one_thread)


def _run_torch_on_one_thread() -> None:
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
