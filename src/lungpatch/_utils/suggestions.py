"""Suggestions for unknown names: "did you mean"."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the most similar known name, if any.

    Parameters
    ----------
    name : object
        The unknown name.
    known : iterable of str

    Returns
    -------
    str
        Such as ``"; did you mean 'sad'?"``; a full stop if no known name is similar.

    Examples
    --------
    >>> "there is no scorer 'sda'" + did_you_mean("sda", ["l2", "sad"])
    "there is no scorer 'sda'; did you mean 'sad'?"
    """
    similar = difflib.get_close_matches(str(name), sorted(known), n=1)
    return f"; did you mean {similar[0]!r}?" if similar else "."
