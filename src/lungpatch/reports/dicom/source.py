"""The source image: what results say of it, and how they lie on its stored pixels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from lungpatch._utils.orientation import Turn, turn_of
from lungpatch.errors import InvalidImageError

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
        UIDs, size and kind of the image; patient and study are empty in it.
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
    texts = _Texts(dataset)
    header = Dataset()
    for keyword in _UIDS:
        if not texts(keyword):
            raise InvalidImageError(
                f"{path}: has no {_name(keyword)}, which DICOM results refer to; add the tag "
                "(dcmodify or pydicom can), export the image again, or do without DICOM results"
            )
        _set(header, keyword, texts(keyword))
    for keyword in (*_PICTURE, "PatientOrientation"):
        if texts(keyword):
            _set(header, keyword, texts(keyword))
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsStored", "PixelRepresentation"):
        if keyword in dataset:
            _set(header, keyword, dataset[keyword].value)
    if not (header.get("Rows") and header.get("Columns")):
        raise InvalidImageError(f"{path}: is no DICOM image: it has no rows or no columns")
    for keyword in _REQUIRED:  # highdicom asks for them; `Source.identity` has their values
        _set(header, keyword, None)
    header.SpecificCharacterSet = "ISO_IR 192"
    spacing = _positive(texts("PixelSpacing"))
    if spacing is not None:
        header.PixelSpacing = list(spacing)
    ratio = _positive(texts("PixelAspectRatio"))
    return Source(
        path=path,
        header=header,
        identity=tuple(_identity(texts)),
        display=_display(dataset, texts),
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


class _Texts:
    """The values of a dataset as text, whatever they hold.

    They are taken from their bytes: pydicom warns about or refuses values that are not as the
    standard wants them, but results must name the patient exactly as their source does.
    """

    def __init__(self, dataset: Dataset) -> None:
        from pydicom.charset import convert_encodings

        self._dataset = dataset
        self._encodings = convert_encodings(dataset.get("SpecificCharacterSet") or "ISO_IR 6")

    def __call__(self, keyword: str) -> str | list[str]:
        """Return a value, or a list of several; "" where there is none."""
        from pydicom.charset import decode_bytes
        from pydicom.datadict import dictionary_VR, tag_for_keyword
        from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

        tag: Any = tag_for_keyword(keyword)
        element: Any = self._dataset.get_item(tag) if tag in self._dataset else None
        value = getattr(element, "value", None)
        if not isinstance(value, bytes | bytearray):
            text = "" if value is None else str(value)
        else:
            delimiters = PN_DELIMS if dictionary_VR(tag) == "PN" else TEXT_VR_DELIMS
            text = decode_bytes(bytes(value), self._encodings, delimiters)
        values = [part.strip(" \0\t\r\n") for part in text.split("\\")]
        return values if len(values) > 1 and any(values) else values[0]


def _identity(texts: _Texts) -> Iterable[DataElement]:
    for keyword in (*_REQUIRED, *_OPTIONAL):
        value = texts(keyword)
        if keyword in _REQUIRED or (value and _is_valid(keyword, value)):
            yield _element(keyword, value)
    if texts("PatientIdentityRemoved") == "YES" and not texts("DeidentificationMethod"):
        yield _element("DeidentificationMethod", "as the source image says in codes")


def _is_valid(keyword: str, value: str | list[str]) -> bool:
    from pydicom.config import RAISE
    from pydicom.datadict import dictionary_VR
    from pydicom.valuerep import validate_value

    try:
        validate_value(dictionary_VR(keyword), value, RAISE)
    except ValueError:
        return False
    return isinstance(value, str)


def _display(dataset: Dataset, texts: _Texts) -> Dataset:
    """Copy the transforms of grey levels that reading applies: the first of each kind."""
    from copy import deepcopy

    display = Dataset()
    if dataset.get("ModalityLUTSequence"):
        display.ModalityLUTSequence = deepcopy(dataset.ModalityLUTSequence[:1])
    elif texts("RescaleSlope") or texts("RescaleIntercept"):
        _set(display, "RescaleIntercept", texts("RescaleIntercept") or "0")
        _set(display, "RescaleSlope", texts("RescaleSlope") or "1")
        _set(display, "RescaleType", texts("RescaleType") or "US")
    if dataset.get("VOILUTSequence"):
        display.VOILUTSequence = deepcopy(dataset.VOILUTSequence[:1])
    elif texts("WindowCenter") and texts("WindowWidth"):
        for keyword in ("WindowCenter", "WindowWidth", "VOILUTFunction"):
            value = texts(keyword)
            if value:
                _set(display, keyword, value[0] if isinstance(value, list) else value)
    return display


def _set(dataset: Dataset, keyword: str, value: Any) -> None:
    dataset.add(_element(keyword, value))


def _element(keyword: str, value: Any) -> DataElement:
    """Return an element that is written as it is, also where the standard wants it otherwise."""
    from pydicom.config import IGNORE
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None  # keywords are those of this package
    return DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)


def _name(keyword: str) -> str:
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None  # keywords are those of this package
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
