"""The source image: what results say of it, and how they lie on its stored pixels."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage

from lungpatch._utils.orientation import Turn, turn_of
from lungpatch.errors import InvalidImageError
from lungpatch.reports.dicom.elements import Texts, element, is_valid, name_of, set_element
from lungpatch.reports.dicom.transforms import display_transforms

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

# Type 2 of the modules Patient and General Study: written empty where the source has none.
_REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
_OPTIONAL = (
    "IssuerOfPatientID",
    "PatientBirthTime",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientSpeciesDescription",
    "PatientBreedDescription",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyDescription",
)
# As ACR-NEMA wrote them, which DICOM no longer allows: 1997.04.24 and 14:04:38.5.
_OLD_DATE_OR_TIME = re.compile(r"\d{4}\.\d{2}\.\d{2}|\d{2}:\d{2}:\d{2}(\.\d*)?")

_PICTURE = (
    "Modality",
    "InstanceNumber",
    "PhotometricInterpretation",
    "BodyPartExamined",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
"""What results say of the source image besides its UIDs and its size."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Source:
    """The header of a source image.

    Parameters
    ----------
    path : pathlib.Path
    header : pydicom.Dataset
        UIDs, size and kind of the image; patient and study are empty in it. Its class is that of
        radiographs in any case: highdicom asks for more of others, or does not know them.
    sop_class : str
        The class that the image has.
    identity : tuple of pydicom.DataElement
        Patient and study, as the source names them.
    display : pydicom.Dataset
        What a viewer needs to show the grey levels: modality and VOI transforms.
    turn : Turn
        From the stored pixels to the image as it was read.
    spacing : tuple of float or None
        Distance of the centres of stored pixels (row, column) in millimetres.
    aspect_ratio : fractions.Fraction or None
        Height of a stored pixel over its width, where it is all that is known.

    Examples
    --------
    >>> source = read_source("image.dcm")                              # doctest: +SKIP
    >>> source.header.SOPInstanceUID                                   # doctest: +SKIP
    '1.2.3.4'
    """

    path: Path
    header: Dataset
    sop_class: str
    identity: tuple[DataElement, ...]
    display: Dataset
    turn: Turn
    spacing: tuple[float, float] | None
    aspect_ratio: Fraction | None

    @property
    def displayed_shape(self) -> tuple[int, int]:
        """Shape (H, W) of the image as it was read."""
        rows, columns = int(self.header.Rows), int(self.header.Columns)
        return (columns, rows) if self.turn.exchanged else (rows, columns)

    @property
    def is_frontal(self) -> bool:
        """Whether the source says that its rows and columns run across and along the patient."""
        values = [value.upper() for value in self.header.get("PatientOrientation") or ()]
        main = {value[:1] for value in values}
        return (
            len(values) == 2
            and not set("".join(values)) - set("LRAPFH")
            and len(main & set("LR")) == len(main & set("FH")) == 1
        )

    def __repr__(self) -> str:
        return f"Source({str(self.path)!r}, {self.header.Rows}x{self.header.Columns})"


def read_source(path: str | os.PathLike[str]) -> Source:
    """Read what results say of their source image.

    Parameters
    ----------
    path : path
        A DICOM image.

    Returns
    -------
    Source

    Raises
    ------
    InvalidImageError
        If the file is no DICOM image, or lacks one of the UIDs that results refer to; the message
        names the tag.
    """
    path = Path(path)
    dataset = _read_header(path)
    texts = Texts(dataset)
    header = Dataset()
    for keyword in _UIDS:
        if not texts(keyword):
            raise InvalidImageError(
                f"{path}: has no {name_of(keyword)}, which DICOM results refer to; add the tag "
                "(dcmodify or pydicom can), export the image again, or do without DICOM results"
            )
        set_element(header, keyword, texts(keyword))
    for keyword in (*_PICTURE, "PatientOrientation"):
        if texts(keyword):
            set_element(header, keyword, texts(keyword))
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsStored", "PixelRepresentation"):
        if keyword in dataset:
            set_element(header, keyword, dataset[keyword].value)
    if not (header.get("Rows") and header.get("Columns")):
        raise InvalidImageError(f"{path}: is no DICOM image: it has no rows or no columns")
    for keyword in _REQUIRED:  # highdicom asks for them; `Source.identity` has their values
        set_element(header, keyword, None)
    header.SpecificCharacterSet = "ISO_IR 192"
    sop_class = str(header.SOPClassUID)
    header.SOPClassUID = ComputedRadiographyImageStorage
    spacing = _positive(texts("PixelSpacing"))
    if spacing is not None:
        header.PixelSpacing = list(spacing)
    ratio = _positive(texts("PixelAspectRatio"))
    return Source(
        path=path,
        header=header,
        sop_class=sop_class,
        identity=tuple(_identity(texts)),
        display=display_transforms(dataset, texts),
        turn=turn_of(tuple(header.get("PatientOrientation") or ()))[0],
        spacing=spacing or _positive(texts("ImagerPixelSpacing")),
        aspect_ratio=ratio and Fraction(ratio[0] / ratio[1]).limit_denominator(10_000),
    )


def _positive(values: str | list[str]) -> tuple[float, float] | None:
    """Return two positive numbers, or None where the values are something else."""
    try:
        height, width = (float(value) for value in values)
    except ValueError:
        return None
    return (height, width) if height > 0 and width > 0 else None


def _read_header(path: Path) -> Dataset:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        return dcmread(path, stop_before_pixels=True, force=True)
    except (OSError, InvalidDicomError, ValueError, EOFError, KeyError) as error:
        raise InvalidImageError(
            f"{path}: its header cannot be read ({error}); DICOM results need a DICOM image"
        ) from error


def _identity(texts: Texts) -> Iterable[DataElement]:
    for keyword in (*_REQUIRED, *_OPTIONAL):
        value = texts(keyword)
        if isinstance(value, str) and _OLD_DATE_OR_TIME.fullmatch(value):
            value = re.sub("[.:]", "", value, count=2)
        if keyword in _REQUIRED or (value and is_valid(keyword, value)):
            yield element(keyword, value)
    if texts("PatientIdentityRemoved") == "YES" and not texts("DeidentificationMethod"):
        yield element("DeidentificationMethod", "as the source image says in codes")
