"""The images behind paths of files and folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from lungpatch.datasets.tables import read_table
from lungpatch.errors import LungpatchError, MissingInputError
from lungpatch.io import find_images
from lungpatch.pipeline.results import Failure

logger = logging.getLogger(__name__)

Inputs = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A path of an image or a folder, or several."""


def expand(inputs: Inputs, *, exclude: Path | None = None) -> tuple[list[Path], list[Failure]]:
    """List the images at paths, each once; a bad path does not affect the others.

    Parameters
    ----------
    inputs : path, or iterable of paths
        Of images and folders.
    exclude : pathlib.Path, optional
        CSV file whose column ``file`` names images to leave out.

    Returns
    -------
    images : list of pathlib.Path
    failures : list of Failure
        The paths at which there is no image.

    Raises
    ------
    MissingInputError
        If there is no image at any, or they are all left out.
    ConfigurationError
        If the table of images to leave out cannot be read.

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
    images = list(paths.values())
    if exclude is not None:
        images = _without(images, exclude)
    return images, failures


def _without(images: list[Path], exclude: Path) -> list[Path]:
    names = {Path(row.required("file")).name for row in read_table(exclude, ["file"])}
    left = [image for image in images if image.name not in names]
    left_out = len(images) - len(left)
    logger.warning("left out: %d images that %s lists", left_out, exclude)
    if not left:
        raise MissingInputError(f"{exclude} lists every image: none is left")
    return left
