"""Normal images that are used together: whose they are, which can be used, each counted once."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from lungpatch._utils.patients import normalise_patient
from lungpatch.containers import ChestImage
from lungpatch.errors import ConfigurationError
from lungpatch.pipeline.results import Failure, PreparedImage
from lungpatch.pipeline.steps import ImageInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.pipeline.steps import Steps

logger = logging.getLogger(__name__)

Kept = TypeVar("Kept")


@attrs.frozen(kw_only=True)
class UnusedImage:
    """A normal image that could not be used, and why.

    Parameters
    ----------
    source : str
        Its path, or its id.
    reason : str

    Examples
    --------
    >>> UnusedImage(source="a.png", reason="no_lungs")
    UnusedImage(source='a.png', reason='no_lungs')
    """

    source: str
    reason: str


@attrs.frozen(kw_only=True)
class UsableImage(Generic[Kept]):
    """A normal image that can be used.

    Parameters
    ----------
    item : ChestImage, path, or array
        As it was given.
    source, patient : str
    digest : bytes
        SHA-256 of its pixels on the model grid.
    kept : object
        What was kept of it when it was read.

    Examples
    --------
    >>> UsableImage(item="a.png", source="a.png", patient="p1", digest=b"", kept=None).patient
    'p1'
    """

    item: ImageInput
    source: str
    patient: str
    digest: bytes
    kept: Kept


def patients_of(inputs: Sequence[ImageInput], patients: Mapping[str, str] | None) -> list[str]:
    """Return the patient of each image.

    Parameters
    ----------
    inputs : sequence of ChestImage, path, or array
    patients : mapping of str to str, optional
        File name (or image id) to patient; of a path, its name counts. By default each image is
        its own patient.

    Returns
    -------
    list of str

    Raises
    ------
    ConfigurationError
        If it is no mapping, gives an image to two patients, or lacks one.

    Examples
    --------
    >>> patients_of(["x/a.png", "x/b.png"], {"a.png": "001", "b.png": "1"})
    ['1', '1']
    """
    names = [_name_of(index, item) for index, item in enumerate(inputs)]
    if patients is None:
        # Numbered, since two folders may hold files of one name.
        return [f"{index}: {Path(name).name}" for index, name in enumerate(names)]
    if not isinstance(patients, Mapping):
        raise ConfigurationError(
            "patients must be a mapping of file name to patient, such as {'a.png': '1'}, got "
            f"{type(patients).__name__}; lungpatch.datasets.read_patients reads one from a CSV file"
        )
    known: dict[str, set[str]] = {}
    for key, patient in patients.items():
        if not isinstance(key, (str, os.PathLike)):
            raise ConfigurationError(
                f"patients must be a mapping of file name to patient, got the key {key!r}"
            )
        for name in {os.fspath(key), Path(key).name}:
            known.setdefault(name, set()).add(normalise_patient(patient))
    found = [_first(known, name, Path(name).name, Path(name).stem) for name in names]
    for name, owners in zip(names, found, strict=True):
        if len(owners) > 1:
            raise ConfigurationError(
                f"the table of patients gives {Path(name).name!r} to the patients "
                f"{' and '.join(sorted(owners))}: rename one of the files"
            )
    missing = [Path(name).name for name, owners in zip(names, found, strict=True) if not owners]
    if missing:
        raise ConfigurationError(
            f"the table of patients lacks {len(missing)} of {len(names)} images, {missing[0]!r} "
            "first: add them, or leave the table out, each image then being its own patient"
        )
    return [owner for owners in found for owner in owners]


def _name_of(index: int, item: ImageInput) -> str:
    if isinstance(item, ChestImage):
        return item.image_id
    return os.fspath(item) if isinstance(item, (str, os.PathLike)) else f"array {index}"


def _first(known: Mapping[str, set[str]], *names: str) -> set[str]:
    """Return the patients of the first of the names that has any."""
    return next((owners for name in names if (owners := known.get(name, set()) - {""})), set())


def read_cohort(
    steps: Steps,
    inputs: Sequence[ImageInput],
    owners: Sequence[str],
    *,
    keep: Callable[[PreparedImage, str, bytes], Kept],
    notify: ProgressCallback,
) -> tuple[list[UsableImage[Kept]], list[UnusedImage]]:
    """Read every image once, keep what is needed of it, and note what cannot be used, and why.

    Parameters
    ----------
    steps : Steps
    inputs : sequence of ChestImage, path, or array
    owners : sequence of str
        Their patients.
    keep : callable
        Called as ``keep(prepared, patient, digest)`` for each image that can be used.
    notify : callable
        Called after each image.

    Returns
    -------
    usable : list of UsableImage
        In an order that depends on their content only; of equal images, one.
    unused : list of UnusedImage

    Examples
    --------
    >>> usable, unused = read_cohort(
    ...     pipeline, paths, owners, keep=keep, notify=silent)         # doctest: +SKIP
    """
    found: list[UsableImage[Kept]] = []
    unused: list[UnusedImage] = []
    for count, (item, patient) in enumerate(zip(inputs, owners, strict=True), start=1):
        prepared = steps.prepare_or_fail(item)
        if isinstance(prepared, Failure):
            unused.append(UnusedImage(source=prepared.source, reason=str(prepared.error)))
        elif prepared.status != "ok":
            reason = ": ".join(filter(None, (prepared.status, prepared.reason)))
            unused.append(UnusedImage(source=prepared.image.source, reason=reason))
        else:
            digest = hashlib.sha256(prepared.resized.pixels.tobytes()).digest()
            found.append(
                UsableImage(
                    item=item,
                    source=prepared.image.source,
                    patient=patient,
                    digest=digest,
                    kept=keep(prepared, patient, digest),
                )
            )
        notify("read", count, len(inputs), {})
    usable, duplicates = _without_duplicates(found)
    unused += duplicates
    for image in unused:
        logger.warning("left out: %s: %s", image.source, image.reason)
    return usable, unused


def _without_duplicates(
    found: list[UsableImage[Kept]],
) -> tuple[list[UsableImage[Kept]], list[UnusedImage]]:
    """Keep one of equal images, and sort by content."""
    ordered = sorted(found, key=lambda image: (image.digest, image.source, image.patient))
    usable: list[UsableImage[Kept]] = []
    duplicates = []
    for image in ordered:
        if usable and usable[-1].digest == image.digest:
            kept = usable[-1].source
            duplicates.append(
                UnusedImage(source=image.source, reason=f"the same image as {kept}, counted once")
            )
        else:
            usable.append(image)
    return usable, duplicates
