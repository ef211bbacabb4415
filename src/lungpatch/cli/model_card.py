"""What the model card of a shipped pipeline says that it flags."""

from __future__ import annotations

import re
from importlib import resources

import attrs

_TABLE = re.compile(r": fraction flagged\n\n(.*?)\n\n", flags=re.DOTALL)
_KIND = re.compile(r"(?P<kind>.+) \((?P<n>\d+) (?:images|patients)\)")
_CELL = re.compile(r"(?P<fraction>[\d.]+) \[(?P<low>[\d.]+), (?P<high>[\d.]+)\]")


@attrs.frozen(kw_only=True)
class Flagged:
    """How many images of a kind a shipped pipeline flags at some false-alarm rate.

    Parameters
    ----------
    n : int
        Number of images.
    fraction, low, high : float
        The fraction flagged, and its interval of 95 %.
    """

    n: int
    fraction: float
    low: float
    high: float


def read_flagged(name: str, rate: float) -> dict[str, Flagged]:
    """Read the model card that comes with a shipped pipeline.

    Parameters
    ----------
    name : {"default", "paper"}
    rate : {0.05, 0.1, 0.2}
        The false-alarm rate.

    Returns
    -------
    dict of str to Flagged
        By kind of images, as the card calls it.

    Examples
    --------
    >>> sorted(read_flagged("paper", 0.1))[0]
    'COVID'
    """
    card = resources.files("lungpatch").joinpath("weights", f"{name}.md")
    (table,) = _TABLE.findall(card.read_text(encoding="utf-8"))
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
    ]
    column = header.index(f"rate {rate:g}")
    flagged = {}
    for row in rows:
        kind, cell = _KIND.fullmatch(row[0]), _CELL.fullmatch(row[column])
        assert kind is not None  # a test reads the cards
        assert cell is not None
        flagged[kind["kind"]] = Flagged(
            n=int(kind["n"]), **{key: float(value) for key, value in cell.groupdict().items()}
        )
    return flagged
