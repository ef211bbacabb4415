"""The nearest known name for one that is not known: "did you mean"."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name, with the nearest known one if any.

    Parameters
    ----------
    name : object
        What was asked for.
    known : iterable of str

    Returns
    -------
    str
        ``"; did you mean 'sad'?"``, or a full stop where nothing is near.

    Examples
    --------
    >>> "there is no scorer 'sda'" + did_you_mean("sda", ["l2", "sad"])
    "there is no scorer 'sda'; did you mean 'sad'?"
    """
    near = difflib.get_close_matches(str(name), sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else "."
