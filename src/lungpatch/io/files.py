"""Opening files, and errors that name the file."""

from __future__ import annotations

import importlib
import io
import logging
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch._utils.forks import IMPORTING
from lungpatch.errors import InvalidImageError, MissingInputError
from lungpatch.io.formats import HEAD_LENGTH, format_of, is_dicomdir

if TYPE_CHECKING:
    from collections.abc import Iterator

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
IMAGE_SUFFIXES = DICOM_SUFFIXES | {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff"}
"""Suffixes by which images are found in folders; what a file holds is decided by its content."""

_LARGE = 2**20

_thread = threading.local()


def _nothing_is_read(_record: logging.LogRecord) -> bool:
    return not getattr(_thread, "reads", False)


# Drops what decoders log in a thread that reads a file for lungpatch, and nothing else.
for _logger in (
    "PIL.ImageFile",
    "PIL.PngImagePlugin",
    "PIL.TiffImagePlugin",
    "pydicom",
    "pydicom.pixels.decoders.base",
    "pydicom.pixels.utils",
    "tifffile",
):
    logging.getLogger(_logger).addFilter(_nothing_is_read)


class ImageFile(io.BufferedReader):
    """An image file, open for reading.

    Other libraries tell Pillow, for the whole process, to accept images whose end is missing.
    While ``complete`` is true a read at the end of the file is an error all the same.
    """

    complete = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to ``size`` bytes."""
        if size is not None and size > _LARGE:
            # A damaged length asks for any number of bytes, and Python would allocate them.
            size = min(size, max(1, os.fstat(self.fileno()).st_size - self.tell()))
        data = super().read(size)
        if self.complete and size and not data:
            raise OSError("the file ends before the image does")
        return data

    def head(self) -> bytes:
        """Return the first bytes, and stay at the beginning."""
        head = self.read(HEAD_LENGTH)
        self.seek(0)
        if not head:
            raise InvalidImageError("is empty (0 bytes); copy or export it again")
        return head


def load(*modules: str) -> None:
    """Import modules of decoders while no fork can happen."""
    with IMPORTING:
        for module in modules:
            importlib.import_module(module)


@contextmanager
def open_file(path: Path) -> Iterator[ImageFile]:
    """Open a file that exists, is a file, may be read and is not empty."""
    try:
        # Anything but a file is refused before opening it: opening a pipe would wait for ever.
        if path.is_dir():
            raise InvalidImageError(
                f"{path}: is a folder; give its files, which lungpatch.io.find_images lists"
            )
        if path.exists() and not path.is_file():
            raise InvalidImageError(f"{path}: is not a regular file; copy its content to one")
        raw = path.open("rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInputError(f"{path}: no such file; check the path") from None
    except PermissionError:
        raise InvalidImageError(f"{path}: no permission to read it; change its mode") from None
    except InvalidImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise InvalidImageError(f"{path}: cannot be opened ({error}); check the path") from error
    with ImageFile(raw, buffer_size=1 << 16) as file:
        yield file


@contextmanager
def decoder_errors(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into an `InvalidImageError` that names the file.

    What decoders log meanwhile is dropped: what matters of it is an error or a note. Nothing that
    belongs to the whole process is changed, so other threads may read, warn and log meanwhile.
    """
    _thread.reads = True
    try:
        yield
    except InvalidImageError as error:
        raise InvalidImageError(f"{path}: {error}") from error.__cause__
    except MemoryError as error:
        raise InvalidImageError(
            f"{path}: needs more memory than there is; scale it down, or read fewer at a time"
        ) from error
    except Exception as error:
        raise InvalidImageError(
            f"{path}: cannot be decoded{_reason(error)}; the file is damaged or of an unusual "
            "kind: open it in a viewer, and copy or export it again"
        ) from error
    finally:
        _thread.reads = False


def _reason(error: Exception) -> str:
    """Return what a decoder says of a file; nothing where it only fell over it."""
    of_tifffile = type(error).__module__.startswith("tifffile")
    if not of_tifffile and not isinstance(error, OSError | SyntaxError | NotImplementedError):
        return ""
    reason = " ".join(str(error).split())[:300]
    return f" ({reason})" if reason else ""


def head_of(path: str | os.PathLike[str]) -> bytes:
    """Return the first bytes of a file; none where it cannot be read."""
    try:
        with Path(path).open("rb", buffering=0) as file:
            return file.read(HEAD_LENGTH)
    except (OSError, ValueError):
        return b""


def holds_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a DICOM image, report or other object, by its content.

    A DICOMDIR, which is an index of other files, is none. False where the file cannot be read.

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
    head = head_of(path)
    return format_of(head) == "DICOM" and not is_dicomdir(head)


def image_id_of(path: Path) -> str:
    """Return the image id of a file: its name without an image suffix.

    Examples
    --------
    >>> image_id_of(Path("images/a.png")), image_id_of(Path("1.2.840.1"))
    ('a', '1.2.840.1')
    """
    # The dots of a DICOM UID used as a file name do not set off a suffix.
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
