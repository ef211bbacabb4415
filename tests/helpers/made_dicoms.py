"""Small DICOM files made for tests, and what DCMTK's ``dcm2pnm`` displays of a file."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from lungpatch.errors import InvalidImageError
from lungpatch.io import read_image

if TYPE_CHECKING:
    from pathlib import Path


def ramp(high=255, shape=(40, 50), dtype=np.uint8):
    """Grey levels 0..high that differ along both axes, so that any turn or mirroring shows."""
    return np.linspace(0, high, shape[0] * shape[1]).reshape(shape).astype(dtype)


def make_dicom(stored, *, bits=12, photometric="MONOCHROME2", syntax=None, **elements):
    """Return a dataset; elements of None are left out, others are set or replaced."""
    syntax = syntax or ExplicitVRLittleEndian
    stored = np.asarray(stored)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["lungpatch"])
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    if stored.ndim == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = stored.dtype.itemsize * 8
    data.BitsStored, data.HighBit = bits, bits - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    data["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    for name, value in elements.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    if syntax == RLELossless:
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.compress(RLELossless)
    return data


def save_dicom(path: Path, stored, **options) -> Path:
    """Write a dataset of `make_dicom` with preamble and meta information."""
    make_dicom(stored, **options).save_as(path, enforce_file_format=True)
    return path


def save_raw_text(path: Path, keyword: str, value: str) -> Path:
    """Replace a text value of a file by one that pydicom would refuse to write."""
    import pydicom

    dataset = pydicom.dcmread(path)
    length = len(value) + len(value) % 2
    setattr(dataset, keyword, "1" * length)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path)
    content = path.read_bytes()
    tag = dataset[keyword].tag
    start = content.index(tag.group.to_bytes(2, "little") + tag.elem.to_bytes(2, "little"))
    assert content[start + 8 : start + 8 + length] == b"1" * length
    path.write_bytes(
        content[: start + 8] + value.ljust(length).encode() + content[start + 8 + length :]
    )
    return path


def save_without_preamble(path: Path, dataset: Dataset, *, implicit: bool, little: bool) -> Path:
    """Write a dataset alone, as old devices do."""
    del dataset.file_meta
    dataset.preamble = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, implicit_vr=implicit, little_endian=little)
    return path


def lookup_table(data: Any, first: int, bits: int, *, vr: str = "US", n_entries: int | None = None):
    """Return a lookup table sequence; ``data`` are its entries, or its bytes as they are."""
    item = Dataset()
    item.LUTDescriptor = [len(data) if n_entries is None else n_entries, first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = data if isinstance(data, bytes) else [int(level) for level in data]
    item["LUTData"].VR = vr
    return Sequence([item])


def displayed_by_dcmtk(path: Path, *options: str) -> np.ndarray:
    """Return what ``dcm2pnm`` displays of a file, from 0 to 1; skips where it is not installed."""
    program = shutil.which("dcm2pnm")
    if program is None:
        pytest.skip("dcm2pnm is not installed (Debian: apt-get install dcmtk)")
    out = path.with_suffix(".pgm")
    subprocess.run([program, "-q", "-O", *options, "+opn", "16", path, out], check=True)
    words = out.read_text().split()
    assert words[0] == "P2"
    width, height, white = (int(word) for word in words[1:4])
    levels = np.array(words[4:], dtype=np.float64)
    return levels.reshape(height, width) / white


def save_image(path: Path, array, **options) -> Path:
    """Write an array by Pillow."""
    Image.fromarray(array).save(path, **options)
    return path


def check_refused(path: Path, *words: str, error: type[Exception] = InvalidImageError) -> str:
    """Check that an image is refused with a message that names the file and holds the words."""
    with pytest.raises(error) as caught:
        read_image(path)
    message = str(caught.value)
    for word in (str(path), *words):
        assert word in message
    assert message.count(str(path)) == 1
    return message


def check_refused_by_name(path: Path, *words: str) -> None:
    """The same, and that the message is ours: what is wrong and what to do, no Python words."""
    message = check_refused(path, *words)
    for word in (": cannot be decoded", "NoneType", "object", "attribute", "Traceback", "damaged"):
        assert word not in message
    assert ";" in message  # what to do comes after what is wrong
