"""DICOM files, by pydicom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.levels import check_size, luminance, over_white

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset


def read_dicom(handle: BinaryIO) -> tuple[NDArray[np.float32], tuple[float, float] | None]:
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    dataset = pydicom.dcmread(handle, force=True)
    if "PixelData" not in dataset:
        raise InvalidImageError(
            "is DICOM without pixel data (a report, say, or no DICOM at all); leave it out"
        )
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise InvalidImageError(
            f"holds {dataset.NumberOfFrames} frames; export the one to read on its own"
        )
    check_size(int(dataset.Rows), int(dataset.Columns))
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    _check_decoder(dataset)

    photometric = str(dataset.PhotometricInterpretation)
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        stored = np.asarray(dataset.pixel_array)
        pixels = _display_levels(dataset, stored)
        if photometric == "MONOCHROME1":
            np.subtract(1.0, pixels, out=pixels)
    elif photometric == "RGB" or photometric.startswith("YBR"):
        white = 2.0 ** int(dataset.BitsStored) - 1
        # pydicom brings YBR to RGB.
        pixels = over_white(luminance(np.asarray(dataset.pixel_array)), white)
    else:
        raise InvalidImageError(
            f"has photometric interpretation {photometric}, which has no grey meaning; export it "
            "as MONOCHROME2"
        )
    if pixels.ndim != 2:
        raise InvalidImageError(f"holds an array of shape {pixels.shape}, not one grey picture")
    return pixels, _spacing(dataset)


def _check_decoder(dataset: Dataset) -> None:
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        if get_decoder(syntax).is_available:
            return
    except NotImplementedError:
        raise InvalidImageError(
            f"has transfer syntax {syntax.name} ({syntax}), which pydicom does not decode; "
            "export it uncompressed"
        ) from None
    raise InvalidImageError(
        f"is compressed as {syntax.name} (transfer syntax {syntax}), for which no decoder is "
        "installed; run: pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle"
    )


def _display_levels(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.float32]:
    """Bring stored values (H, W) to [0, 1] by the modality and the VOI transform.

    Both are computed once for each possible stored value (at most ``2**16``) and looked up.
    """
    from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

    bits = int(dataset.BitsStored)
    if not 8 <= bits <= 16 or stored.dtype.kind not in "iu":
        raise InvalidImageError(
            f"stores {bits}-bit values of type {stored.dtype}; 8 to 16 bits are read"
        )
    signed = int(dataset.PixelRepresentation) == 1
    lowest = -(2 ** (bits - 1)) if signed else 0
    highest = lowest + 2**bits - 1
    values = np.asarray(
        apply_modality_lut(np.arange(lowest, highest + 1, dtype=np.int32), dataset),
        dtype=np.float64,
    )
    if dataset.get("ModalityLUTSequence"):
        black = 0.0
        white = 2.0 ** int(dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    else:
        black, white = float(values[0]), float(values[-1])

    if dataset.get("VOILUTSequence"):
        levels = apply_voi(np.rint(values).astype(np.int64), dataset).astype(np.float64)
        black = 0.0
        white = 2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
    elif dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        # Its range is (black, white), the ends swapped for a negative slope: dividing by their
        # signed difference puts that right.
        levels = apply_windowing(values, dataset)
    else:
        levels = values
        black, white = min(black, white), max(black, white)
    if not (math.isfinite(black) and math.isfinite(white) and black != white):
        raise InvalidImageError(
            f"rescales all its values to one level or beyond any (slope "
            f"{dataset.get('RescaleSlope')}, intercept {dataset.get('RescaleIntercept')}); "
            "export it again"
        )
    table = over_white(levels - black, white - black)
    pixels: NDArray[np.float32] = table[np.clip(stored, lowest, highest).astype(np.int64) - lowest]
    return pixels


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(value) for value in dataset.get(name) or ())
        except (TypeError, ValueError):
            continue
        if 0 < row < math.inf and 0 < column < math.inf:
            return row, column
    return None
