"""The command line."""

from lungpatch.cli.entry import main

__all__ = ["main"]
