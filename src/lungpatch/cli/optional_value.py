"""An option whose value may be left out, which Typer does not have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Sequence

DICOM_OPTION, DICOM_DEFAULT = "--dicom", "sc,sr"
_KINDS = re.compile(r"[a-z]{2,3}( *, *[a-z]{2,3})*")


class DicomDefaults(TyperCommand):
    """A command whose option ``--dicom`` means `DICOM_DEFAULT` if no kinds follow it.

    Examples
    --------
    >>> issubclass(DicomDefaults, TyperCommand)
    True
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments with the value filled in."""
        return super().parse_args(ctx, with_dicom_kinds(args))


def with_dicom_kinds(arguments: Sequence[str]) -> list[str]:
    """Put the default behind a ``--dicom`` that no kinds follow.

    Parameters
    ----------
    arguments : sequence of str

    Returns
    -------
    list of str

    Examples
    --------
    >>> with_dicom_kinds(["--dicom", "--out", "found"])
    ['--dicom', 'sc,sr', '--out', 'found']
    >>> with_dicom_kinds(["--dicom", "seg,pm", "a.dcm"])
    ['--dicom', 'seg,pm', 'a.dcm']
    """
    filled: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        filled.append(argument)
        if argument == DICOM_OPTION and not _KINDS.fullmatch(following):
            filled.append(DICOM_DEFAULT)
    return filled
