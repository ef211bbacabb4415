"""``python -m lungpatch``."""

from lungpatch.cli import main

main()
