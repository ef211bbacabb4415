"""Gradient magnitude similarity, and a threshold read off the FROC curve, for lungpatch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lungpatch

if TYPE_CHECKING:
    from lungpatch.plugins.hookspecs import Register


@lungpatch.hookimpl
def lungpatch_register(register: Register) -> None:
    """Register both components; each class is imported when it is first used."""
    register.scorer(
        "gms",
        "lungpatch_gms.gms:GMSScorer",
        summary="1 - gradient magnitude similarity; ignores brightness.",
    )
    register.thresholder(
        "froc",
        "lungpatch_gms.froc:FROCThresholder",
        summary="A given number of false alarms per image; uses labels.",
    )
