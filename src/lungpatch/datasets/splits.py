"""Which patients a detector may be trained on, and which are held out to evaluate it.

A split is a manifest: names of files and patients, with a digest that shows whether two people use
the same one. ``cxr-half`` comes with lungpatch; its images do not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.files import write_json
from lungpatch._utils.patients import normalise_patient
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.io import image_id_of, read_image

if TYPE_CHECKING:
    import os

PARTS = ("training", "held")


def every_second_patient(images: Iterable[Path], patients: Mapping[str, str]) -> list[Path]:
    """Return the images of every second patient, starting with the first in sorted order.

    The rule behind the split ``cxr-half``; it needs no random numbers.

    Parameters
    ----------
    images : iterable of pathlib.Path
    patients : mapping of str to str
        Patient by file name, as `lungpatch.datasets.read_patients` gives it.

    Returns
    -------
    list of pathlib.Path
        In the order given.

    Raises
    ------
    ConfigurationError
        If the patient of an image is not known.

    Examples
    --------
    >>> images = [Path("a.png"), Path("b.png"), Path("c.png"), Path("d.png")]
    >>> patients = {"a.png": "1", "b.png": "2", "c.png": "2", "d.png": "3"}
    >>> [image.name for image in every_second_patient(images, patients)]
    ['a.png', 'd.png']
    """
    images = list(images)
    owners = [normalise_patient(patients.get(image.name)) for image in images]
    if "" in owners:
        raise ConfigurationError(
            f"{images[owners.index('')]}: patient unknown; add it to the table of patients"
        )
    kept = set(sorted(set(owners))[::2])
    return [image for image, owner in zip(images, owners, strict=True) if owner in kept]


@attrs.frozen(kw_only=True)
class Split:
    """Two lists of images; no patient is in both.

    Patients are compared without leading zeros and without a trailing ``.0``.

    Parameters
    ----------
    name : str
    training, held : mapping of str to str
        Patient by file name.
    pixels_sha256 : str
        `pixels_digest` of all images. It shows whether a folder holds the same images.

    Raises
    ------
    ConfigurationError
        If a patient is in both parts.

    See Also
    --------
    load_split : reads a manifest that `save` wrote.
    Dataset.split_by_patient : a random split.

    Examples
    --------
    >>> split = Split(name="s", training={"a.png": "1"}, held={"b.png": "2"}, pixels_sha256="")
    >>> split.sha256[:8]
    '520473f6'
    """

    name: str
    training: Mapping[str, str]
    held: Mapping[str, str]
    pixels_sha256: str

    def __attrs_post_init__(self) -> None:
        both = self.patients("training") & self.patients("held")
        if both:
            raise ConfigurationError(
                f"split {self.name!r}: patient {min(both)} is in both parts; move all images of a "
                "patient into one"
            )

    def patients(self, part: str) -> set[str]:
        """Return the patients of one part, each written in one way.

        Parameters
        ----------
        part : {"training", "held"}

        Returns
        -------
        set of str

        Examples
        --------
        >>> split = Split(name="s", training={"a.png": "007"}, held={}, pixels_sha256="")
        >>> split.patients("training")
        {'7'}
        """
        return {normalise_patient(patient) for patient in getattr(self, part).values()}

    @property
    def patient_by_image(self) -> dict[str, str]:
        """Patient of each image id, of both parts.

        The id is the file name without its suffix, so that a converted copy is recognised too.
        """
        return {
            image_id_of(Path(name)): normalise_patient(patient)
            for part in PARTS
            for name, patient in getattr(self, part).items()
        }

    @property
    def sha256(self) -> str:
        """Digest of part, file and patient of every image, one per line, sorted."""
        lines = [
            f"{part},{file},{patient}\n"
            for part in PARTS
            for file, patient in sorted(getattr(self, part).items())
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the manifest as JSON.

        Parameters
        ----------
        path : path

        Examples
        --------
        >>> split.save("mine.json")                                     # doctest: +SKIP
        """
        write_json(path, attrs.asdict(self) | {"sha256": self.sha256})


def load_split(name_or_path: str | os.PathLike[str]) -> Split:
    """Read the manifest of a split.

    Parameters
    ----------
    name_or_path : str or path
        ``"cxr-half"``, or a file that `Split.save` wrote.

    Returns
    -------
    Split

    Raises
    ------
    MissingInputError
        If there is no such split.
    ConfigurationError
        If it is not a manifest, or was altered: its digest does not fit its lists.

    Examples
    --------
    >>> split = load_split("cxr-half")
    >>> len(split.training), len(split.held)
    (122, 122)
    """
    shipped = resources.files("lungpatch.datasets").joinpath("manifests", f"{name_or_path}.json")
    try:
        source = Path(name_or_path)
        text = (source if source.is_file() else shipped).read_text(encoding="utf-8")
    except OSError as error:
        raise MissingInputError(
            f"{name_or_path}: no such split; give cxr-half or the path of a manifest"
        ) from error
    try:
        fields: dict[str, Any] = json.loads(text)
        digest = fields.pop("sha256")
        split = Split(**fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{name_or_path}: not a manifest of a split ({error}); write one with Split.save"
        ) from error
    if split.sha256 != digest:
        raise ConfigurationError(
            f"{name_or_path}: its digest does not fit its lists, so it was changed after it was "
            "written; get the manifest again"
        )
    return split


def pixels_digest(images: Iterable[Path]) -> str:
    """Return a digest of the grey levels of images; it does not depend on the file format.

    Parameters
    ----------
    images : iterable of pathlib.Path
        Their order does not matter; their file names do.

    Returns
    -------
    str
        SHA-256 in hexadecimal, of name, shape and float32 values of each image.

    Examples
    --------
    >>> pixels_digest([])[:8]
    'e3b0c442'
    """
    digest = hashlib.sha256()
    for image in sorted(images, key=lambda path: path.name):
        pixels = read_image(image).pixels
        digest.update(f"{image.name},{pixels.shape}\n".encode())
        digest.update(pixels.astype("<f4").tobytes())
    return digest.hexdigest()
