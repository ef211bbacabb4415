"""What becomes of memory that a process has freed."""

from __future__ import annotations

import ctypes

MMAP_THRESHOLD = 32 * 2**20
"""Larger arrays get memory of their own, in bytes; glibc takes no higher number."""

KEPT = 256 * 2**20
"""Maximum memory that is kept for later, in bytes."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> None:
    """Let this process keep memory that it has freed, for the next image.

    By default glibc gives the memory of large arrays back at once and asks for it again, page by
    page, for the next one: a tenth of the time that an image takes. For processes of our own only,
    since it changes the whole process. Where the C library is another one nothing is done.

    Examples
    --------
    >>> keep_freed_memory()                                            # doctest: +SKIP
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc; on Windows None names no library
        return
    for option, size in (
        (_M_MMAP_THRESHOLD, MMAP_THRESHOLD),
        (_M_TRIM_THRESHOLD, KEPT),
        (_M_TOP_PAD, KEPT // 4),
    ):
        mallopt(option, size)
