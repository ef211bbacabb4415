"""Which patients a detector may learn from, and which are held for the judgement of it.

A split is a manifest: names of files and patients, with a digest, so that two people can tell
whether they speak of the same one. ``cxr-half`` ships with lungpatch; its images do not.
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
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.io import read_image

if TYPE_CHECKING:
    import os

PARTS = ("training", "held")


def every_second_patient(images: Iterable[Path], patients: Mapping[str, str]) -> list[Path]:
    """Keep the images of every second patient, the first of the sorted patients included.

    The rule behind the split ``cxr-half``: no chance, no seed.

    Parameters
    ----------
    images : iterable of pathlib.Path
    patients : mapping of str to str
        Patient by file name, as `lungpatch.datasets.read_patients` gives it.

    Returns
    -------
    list of pathlib.Path
        In their order.

    Raises
    ------
    ConfigurationError
        If the patient of a image is not known.

    Examples
    --------
    >>> images = [Path("a.png"), Path("b.png"), Path("c.png"), Path("d.png")]
    >>> patients = {"a.png": "1", "b.png": "2", "c.png": "2", "d.png": "3"}
    >>> [image.name for image in every_second_patient(images, patients)]
    ['a.png', 'd.png']
    """
    images = list(images)
    unknown = [image for image in images if image.name not in patients]
    if unknown:
        raise ConfigurationError(f"{unknown[0]}: patient unknown; add it to the table of patients")
    kept = set(sorted({patients[image.name] for image in images})[::2])
    return [image for image in images if patients[image.name] in kept]


@attrs.frozen(kw_only=True)
class Split:
    """Two lists of images, no patient in both.

    Parameters
    ----------
    name : str
    training, held : mapping of str to str
        Patient by file name.
    pixels_sha256 : str
        `pixels_digest` of all images, which tells whether a folder holds the images meant.

    Raises
    ------
    ConfigurationError
        If a patient is in both parts.

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
        both = set(self.training.values()) & set(self.held.values())
        if both:
            raise ConfigurationError(
                f"split {self.name!r}: patient {min(both)} is in both parts; move all images of a "
                "patient into one"
            )

    @property
    def sha256(self) -> str:
        """Digest of part, file and patient of every image, one a line, sorted."""
        lines = [
            f"{part},{file},{patient}\n"
            for part in PARTS
            for file, patient in sorted(getattr(self, part).items())
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the manifest, JSON.

        Parameters
        ----------
        path : path
        """
        write_json(path, attrs.asdict(self) | {"sha256": self.sha256})


def load_split(name_or_path: str | os.PathLike[str]) -> Split:
    """Read a manifest.

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
            f"{name_or_path}: its digest does not fit its lists; get the manifest again"
        )
    return split


def pixels_digest(images: Iterable[Path]) -> str:
    """Digest of the grey levels of images, whatever file format holds them.

    Parameters
    ----------
    images : iterable of pathlib.Path
        Their order does not matter, their names do.

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
