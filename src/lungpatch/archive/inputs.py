"""The images behind paths of files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lungpatch.errors import LungpatchError, MissingInputError
from lungpatch.io import find_images
from lungpatch.pipeline.results import Failure

if TYPE_CHECKING:
    from pathlib import Path

Inputs = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A path of an image or a folder, or several."""


def expand(inputs: Inputs) -> tuple[list[Path], list[Failure]]:
    """List the images at paths, each once; a bad path does not affect the others.

    Parameters
    ----------
    inputs : path, or iterable of paths
        Of images and folders.

    Returns
    -------
    images : list of pathlib.Path
    failures : list of Failure
        The paths at which there is no image.

    Raises
    ------
    MissingInputError
        If there is no image at any.

    Examples
    --------
    >>> expand("nowhere")
    Traceback (most recent call last):
    ...
    lungpatch.errors.MissingInputError: nowhere: no such file or folder; check the path
    """
    paths: dict[Path, Path] = {}
    failures = []
    for item in [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs:
        try:
            paths |= {path.resolve(): path for path in find_images(item)}
        except LungpatchError as error:
            failures.append(Failure(source=str(item), error=error))
    if not paths:
        reasons = "; ".join(str(failure.error) for failure in failures)
        raise MissingInputError(reasons or "no images were given")
    return list(paths.values()), failures
