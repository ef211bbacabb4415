"""What the exit status of a command says."""

USAGE = 2
"""Nothing could be done."""

SOME_FAILED = 3
"""Some images failed."""

INTERRUPTED = 130
"""Ctrl-C."""
