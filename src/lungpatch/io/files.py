"""Opening files: formats by content, and errors that name the file."""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lungpatch.errors import InvalidImageError, MissingInputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
IMAGE_SUFFIXES = DICOM_SUFFIXES | {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff"}
"""Suffixes by which images are found in folders; what a file holds is decided by its content."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
)

_decoding = threading.Lock()


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that exists, is a file, may be read and is not empty."""
    try:
        # Anything but a file is refused before opening it: opening a pipe would wait for ever.
        if path.is_dir():
            raise InvalidImageError(
                f"{path}: is a folder; give its files, which lungpatch.io.folders.find_images lists"
            )
        if path.exists() and not path.is_file():
            raise InvalidImageError(f"{path}: is not a regular file; copy its content to one")
        handle = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInputError(f"{path}: no such file; check the path") from None
    except PermissionError:
        raise InvalidImageError(f"{path}: no permission to read it; change its mode") from None
    except InvalidImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise InvalidImageError(f"{path}: cannot be opened ({error}); check the path") from error
    with handle:
        yield handle


@contextmanager
def decoder_errors(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into an `InvalidImageError` that names the file.

    Warnings and log lines of decoders are dropped: what matters of them is an error here. A
    lock, because the state they are kept in belongs to the whole process.
    """
    from PIL import ImageFile

    loggers = [logging.getLogger(name) for name in ("PIL.TiffImagePlugin", "pydicom", "tifffile")]
    with _decoding, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        were_disabled = [logger.disabled for logger in loggers]
        # Other libraries switch this on for good; here half an image must be an error.
        loads_truncated = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        except InvalidImageError as error:
            raise InvalidImageError(f"{path}: {error}") from error.__cause__
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise InvalidImageError(
                f"{path}: cannot be decoded ({reason}); the file is damaged or of an unusual "
                "kind: open it in a viewer, and copy or export it again"
            ) from error
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = loads_truncated
            for logger, was_disabled in zip(loggers, were_disabled, strict=True):
                logger.disabled = was_disabled


def format_of(handle: BinaryIO) -> str | None:
    """Tell the format by the first bytes; None where they are not known."""
    head = handle.read(132)
    handle.seek(0)
    if not head:
        raise InvalidImageError("is empty (0 bytes); copy or export it again")
    for magic, form in _MAGIC:
        if head.startswith(magic):
            return form
    return "DICOM" if head[128:] == b"DICM" else None


def holds_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether a file carries the DICOM magic; False where it cannot be read.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    bool

    Examples
    --------
    >>> holds_dicom("no-such-file")
    False
    """
    try:
        with Path(path).open("rb") as handle:
            return format_of(handle) == "DICOM"
    except (OSError, ValueError):
        return False


def image_id_of(path: Path) -> str:
    """Return the image id of a file: its name without an image suffix.

    Examples
    --------
    >>> image_id_of(Path("images/a.png")), image_id_of(Path("1.2.840.1"))
    ('a', '1.2.840.1')
    """
    # The dots of a DICOM UID used as a file name do not set off a suffix.
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
