"""How much a command says while it works."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING

from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lungpatch._utils.progress import ProgressCallback


@contextlib.contextmanager
def reporting(*, quiet: bool, verbose: bool) -> Iterator[ProgressCallback]:
    """Show progress and messages within the block: all, or warnings, or errors only.

    Raises
    ------
    ConfigurationError
        If both are wanted.
    """
    from lungpatch._utils.progress import progress_bar, silent

    if quiet and verbose:
        raise ConfigurationError("give --quiet or --verbose, not both")
    logger = logging.getLogger("lungpatch")
    level = logger.level
    messages = _Messages()
    try:
        if quiet:
            logger.setLevel(logging.ERROR)
        if verbose:
            logger.setLevel(logging.INFO)
            logger.addHandler(messages)
        with contextlib.nullcontext(silent) if quiet else progress_bar() as progress:
            yield progress
    finally:
        logger.setLevel(level)
        logger.removeHandler(messages)


class _Messages(logging.Handler):
    """Prints to what is standard error at the time, which a progress bar takes over."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)
