"""Read damaged files: each must give an image, or an error that names the file.

    python benchmarks/fuzz_reading.py                      # 10,000 files, about ten minutes
    python benchmarks/fuzz_reading.py --files 500 --seed 1
    python benchmarks/fuzz_reading.py --only 4711 --keep /tmp/4711   # write one of them

Whole files of PNG, JPEG, TIFF, BMP, GIF and DICOM, in many kinds and of 37 to 512 pixels per side,
are damaged in ways that files are damaged and that decoders trip over: bytes and bits changed,
mostly in the header; numbers replaced by extreme ones; ends cut off; parts left out, doubled,
exchanged or taken from another file. The checksums of half of the PNG files are mended, so that
decoders get to see the damage. File number N of a seed is always the same. The files are read by
`lungpatch.read_image` in a process of their own, which is started again when it dies.

Writes the table `fuzz_reading.inc`: how many files were read and refused, and what must not be:
deaths of the process, other exceptions, messages without the file's name, messages with words of
Python, files of more than 2 s of processor time, and memory above 500 MB (of the whole process).
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import resource
import struct
import tempfile
import time
import warnings
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)
from tables import markdown_table, write_table

from lungpatch import read_image
from lungpatch.errors import InvalidImageError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

MAX_SECONDS = 2.0
MAX_BYTES = 500 * 10**6
PYTHON_WORDS = (
    "NoneType", "Traceback", "object is not", "has no attribute", "subscriptable", "iterable",
    "not supported between", "unsupported operand", "invalid literal for", "truth value", "unpack",
    "bytes-like", "codec can't", "index out of range", "KeyError", "local variable",
)  # fmt: skip
LAST_RESORT = ": cannot be decoded"
_PNG = b"\x89PNG\r\n\x1a\n"
INTERESTING = (
    0,
    1,
    2,
    7,
    8,
    16,
    127,
    128,
    255,
    256,
    10_000,
    32_767,
    32_768,
    65_535,
    2**31 - 1,
    2**32 - 1,
)


class Outcome(NamedTuple):
    """What became of one file."""

    kind: str
    result: str
    message: str
    seconds: float
    peak_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="read one file, by its number")
    parser.add_argument("--keep", type=Path, help="where to write that file")
    parser.add_argument("--out", type=Path, help="folder for the table")
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    arguments = parser.parse_args()
    if arguments.only is not None:
        kind, content = damaged_file(arguments.only, arguments.seed)
        path = arguments.keep or Path(tempfile.mkdtemp(), "image")
        path.write_bytes(content)
        print(kind, read(path, kind))
        return
    outcomes = read_all(arguments.files, arguments.seed)
    report(outcomes, arguments.seed)
    write_table("fuzz_reading", table(outcomes), arguments.out, publish=arguments.publish)


def table(outcomes: dict[int, Outcome]) -> str:
    """Return the table of the outcomes, one row per format."""
    formats = sorted({outcome.kind.split()[0] for outcome in outcomes.values()})
    rows = []
    for form in [*formats, "all"]:
        chosen = [o for o in outcomes.values() if form in ("all", o.kind.split()[0])]
        results = Counter(outcome.result for outcome in chosen)
        rows.append(
            (
                form,
                len(chosen),
                results["image"],
                results["refused"],
                results["death"] + results["other exception"],
                results["no name"] + results["words of Python"],
                f"{max(outcome.seconds for outcome in chosen):.2f} s",
                f"{max(outcome.peak_bytes for outcome in chosen) / 1e6:.0f} MB",
            )
        )
    head = (
        "format",
        "files",
        "read",
        "refused by name",
        "crashes",
        "bad messages",
        "slowest",
        "peak",
    )
    return markdown_table(head, rows)


def report(outcomes: dict[int, Outcome], seed: int) -> None:
    """Print every file that is not as it should be, and how to get it."""
    for number, outcome in outcomes.items():
        slow, large = outcome.seconds > MAX_SECONDS, outcome.peak_bytes > MAX_BYTES
        if outcome.result not in ("image", "refused") or slow or large:
            print(f"--only {number} --seed {seed}: {outcome}")
    refused = [o.message for o in outcomes.values() if o.result == "refused"]
    last = sum(LAST_RESORT in message for message in refused)
    print(f"{last} of {len(refused)} refusals by the last resort, {LAST_RESORT!r}")


# ----------------------------------------------------------------------------------- processes


def read_all(n_files: int, seed: int) -> dict[int, Outcome]:
    """Read damaged files in a process that is started again where it dies."""
    context = multiprocessing.get_context("spawn")
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < n_files:
        first = len(outcomes)
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, first, n_files, seed))
        process.start()
        theirs.close()
        for number in range(first, n_files):
            try:
                if not ours.poll(120):
                    process.kill()
                outcomes[number] = ours.recv()
            except EOFError:
                process.join()
                kind, _ = damaged_file(number, seed)
                outcomes[number] = Outcome(kind, "death", str(process.exitcode), 0.0, 0)
                break
            if number % 500 == 499:
                print(f"{number + 1} files", flush=True)
        process.join()
    return outcomes


def _work(connection: Connection, first: int, n_files: int, seed: int) -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, n_files):
            kind, content = damaged_file(number, seed)
            path = Path(folder, f"image-{number}")
            path.write_bytes(content)
            del content
            connection.send(read(path, kind))
            path.unlink()


def read(path: Path, kind: str) -> Outcome:
    """Read one file and say what became of it."""
    start = time.process_time()
    result, message = "image", ""
    try:
        pixels = read_image(path).pixels
        if not (pixels.min() >= 0 and pixels.max() <= 1 and pixels.min() < pixels.max()):
            result = "other exception"
    except InvalidImageError as error:
        result, message = "refused", str(error)
        if not message.startswith(f"{path}: "):
            result = "no name"
        elif any(word in message for word in PYTHON_WORDS):
            result = "words of Python"
    except Exception as error:  # the point of it all
        result, message = "other exception", repr(error)
    seconds = time.process_time() - start
    # The high-water mark of this process: of this file, or of one before it.
    return Outcome(
        kind, result, message, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )


# --------------------------------------------------------------------------------- whole files


def whole_files() -> dict[str, bytes]:
    """Return undamaged files of all kinds, by format and kind."""
    if not _WHOLE:
        rng = np.random.default_rng(0)
        small = rng.integers(0, 256, (33, 37), dtype=np.uint8)
        rows, columns = np.indices((512, 512))
        smooth = 127 + 90 * np.sin(rows / 60) * np.cos(columns / 40) + rng.normal(0, 6, rows.shape)
        large = np.clip(smooth, 0, 255).astype(np.uint8)
        for size, grey in (("small", small), ("large", large)):
            for kind, content in _of_one_size(grey).items():
                _WHOLE[f"{kind} {size}"] = content
    return _WHOLE


_WHOLE: dict[str, bytes] = {}


def _of_one_size(grey: np.ndarray) -> dict[str, bytes]:
    deep = grey.astype(np.uint16) * 16
    colour = np.stack([grey, grey[::-1], grey], axis=-1)
    alpha = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(255 - grey)])
    palette = Image.fromarray(grey).convert("P")
    return {
        "PNG grey": _pillow(grey, "PNG"),
        "PNG 16 bits": _pillow(deep, "PNG"),
        "PNG colour": _pillow(colour, "PNG"),
        "PNG alpha": _pillow(alpha, "PNG"),
        "PNG palette": _pillow(palette, "PNG", transparency=3),
        "PNG 1 bit": _pillow(grey > 99, "PNG"),
        "JPEG grey": _pillow(grey, "JPEG"),
        "JPEG colour": _pillow(colour, "JPEG", quality=90),
        "JPEG progressive": _pillow(grey, "JPEG", progressive=True),
        "TIFF grey": _pillow(grey, "TIFF"),
        "TIFF LZW": _pillow(deep, "TIFF", compression="tiff_lzw"),
        "TIFF G4": _pillow(grey > 99, "TIFF", compression="group4"),
        "TIFF JPEG": _pillow(colour, "TIFF", compression="jpeg"),
        "TIFF deflate": _tiff(deep, compression="zlib"),
        "TIFF tiles": _tiff(deep, tile=(16, 16)),
        "TIFF 16-bit colour": _tiff(colour.astype(np.uint16) * 9, photometric="rgb"),
        "TIFF double": _tiff(grey / 255),
        "TIFF big": _tiff(deep, bigtiff=True, byteorder=">"),
        "BMP grey": _pillow(grey, "BMP"),
        "BMP colour": _pillow(colour, "BMP"),
        "GIF grey": _pillow(grey, "GIF"),
        "GIF palette": _pillow(palette, "GIF", transparency=3),
        **{f"DICOM {kind}": content for kind, content in _dicom_files(grey, deep).items()},
    }


def _pillow(image: Any, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(stream, form, **options)
    return stream.getvalue()


def _tiff(array: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def _dicom_files(grey: np.ndarray, deep: np.ndarray) -> dict[str, bytes]:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table["LUTDescriptor"].VR = "US"
    table.LUTData = (np.linspace(0, 1, 4096) ** 0.5 * 4095).astype("<u2").tobytes()
    table["LUTData"].VR = "OW"
    window = {"WindowCenter": [1000, 5], "WindowWidth": [3000, 7], "RescaleSlope": 1}
    return {
        "explicit": _dicom(deep, **window),
        "implicit": _dicom(deep, ImplicitVRLittleEndian, VOILUTSequence=[table]),
        "big endian": _dicom(deep, ExplicitVRBigEndian, PixelPaddingValue=0),
        "deflated": _dicom(deep, DeflatedExplicitVRLittleEndian, PatientOrientation=["R", "F"]),
        "modality table": _dicom(deep, ModalityLUTSequence=[table]),
        "top bits": _dicom(deep << 4, HighBit=15, PatientOrientation=["F", "L"]),
        "signed": _dicom(deep.astype(np.int16) - np.int16(900), PixelPaddingValue=-900),
        "RLE": _dicom(deep, RLELossless),
        "JPEG": _dicom(grey, JPEGBaseline8Bit, stream=_pillow(grey, "JPEG")),
        "JPEG 2000": _dicom(grey, JPEG2000Lossless, stream=_pillow(grey, "JPEG2000", no_jp2=True)),
        "no preamble": _without_meta(_dicom(deep)),
        "TIFF preamble": b"II*\0\x08\0\0\0".ljust(128, b"\0") + _dicom(deep)[128:],
    }


def _without_meta(content: bytes) -> bytes:
    return content[144 + int.from_bytes(content[140:144], "little") :]


def _dicom(
    stored: np.ndarray, syntax: str = ExplicitVRLittleEndian, stream: bytes = b"", **elements: Any
) -> bytes:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    data.Modality, data.BodyPartExamined, data.ViewPosition = "CR", "CHEST", "PA"
    data.PatientID = "7"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME1"
    data.Rows, data.Columns = stored.shape
    data.BitsAllocated = stored.dtype.itemsize * 8
    data.BitsStored = 8 if stored.dtype.itemsize == 1 else 12
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.PixelSpacing = [0.1, 0.2]
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    data["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    if stream:
        data.PixelData = encapsulate([stream])
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    elif syntax == RLELossless:
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.compress(RLELossless)
    target = io.BytesIO()
    pydicom.dcmwrite(target, data, enforce_file_format=True)
    return target.getvalue()


# -------------------------------------------------------------------------------------- damage


def damaged_file(number: int, seed: int) -> tuple[str, bytes]:
    """Return kind and content of one damaged file; the same number gives the same file."""
    rng = np.random.default_rng([seed, number])
    whole = whole_files()
    kind = list(whole)[rng.integers(len(whole))]
    content = bytearray(whole[kind])
    for _ in range(rng.integers(1, 4)):
        damage = DAMAGES[rng.integers(len(DAMAGES))]
        content = damage(content, rng)
    if content.startswith(_PNG) and rng.integers(2):
        mend_checksums(content)
    return kind, bytes(content)


def _position(content: bytearray, rng: np.random.Generator) -> int:
    """Return a place in a file, often in its header: there decoders trip most."""
    reach = (64, 400, 2000, len(content))[rng.integers(4)]
    return int(rng.integers(max(1, min(reach, len(content)))))


def change_bytes(content: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(rng.integers(1, 9)):
        if content:
            content[_position(content, rng)] = rng.integers(256)
    return content


def flip_bits(content: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(rng.integers(1, 9)):
        if content:
            content[_position(content, rng)] ^= 1 << rng.integers(8)
    return content


def write_number(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Replace a number by an extreme one, in either byte order."""
    value = INTERESTING[rng.integers(len(INTERESTING))]
    size = (1, 2, 4)[rng.integers(3)]
    order = ("little", "big")[rng.integers(2)]
    start = _position(content, rng)
    content[start : start + size] = (value % 256**size).to_bytes(size, order)
    return content


def cut_off(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: int(rng.integers(len(content) + 1))]


def leave_out(content: bytearray, rng: np.random.Generator) -> bytearray:
    start = _position(content, rng)
    del content[start : start + int(rng.integers(1, 200))]
    return content


def insert(content: bytearray, rng: np.random.Generator) -> bytearray:
    start = _position(content, rng)
    content[start:start] = rng.bytes(int(rng.integers(1, 60)))
    return content


def double(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, length = _position(content, rng), int(rng.integers(1, 400))
    content[start:start] = content[start : start + length]
    return content


def exchange(content: bytearray, rng: np.random.Generator) -> bytearray:
    first, second = sorted((_position(content, rng), _position(content, rng)))
    length = int(rng.integers(1, 40))
    parts = content[first : first + length], content[second : second + length]
    content[second : second + length], content[first : first + length] = parts
    return content


def from_another(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Go on as another file does from there on."""
    other = list(whole_files().values())[rng.integers(len(whole_files()))]
    start = _position(content, rng)
    return content[:start] + other[start:]


def mend_checksums(content: bytearray) -> None:
    """Compute the checksums of a PNG anew."""
    start = len(_PNG)
    while start + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, start)
        end = start + 8 + length
        if end + 4 > len(content):
            break
        struct.pack_into(">I", content, end, zlib.crc32(content[start + 4 : end]))
        start = end + 4


DAMAGES = (
    change_bytes, flip_bits, write_number, write_number, cut_off, leave_out, insert, double,
    exchange, from_another,
)  # fmt: skip


if __name__ == "__main__":
    main()
