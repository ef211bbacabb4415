"""PneumoniaMNIST of MedMNIST v2: the paediatric radiographs of Kermany et al. as small squares."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lungpatch._utils.extras import import_extra
from lungpatch.datasets.dataset import Dataset
from lungpatch.errors import ConfigurationError, MissingInputError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_RECORD = "https://zenodo.org/records/10519652/files"
# As published with medmnist 3.0.2 (medmnist/info.py).
_MD5 = {
    28: "28209eda62fecd6e6a2d98b1501bb15f",
    64: "8f4eceb4ccffa70c672198ea285246c6",
    128: "05b46931834c231683c68f40c47b2971",
    224: "d6a3c71de1b945ea11211b03746c1fe1",
}
_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_LABELS = np.array(["normal", "pneumonia"])


def fetch_pneumoniamnist(size: Literal[28, 64, 128, 224] = 28) -> Dataset:
    """Download PneumoniaMNIST once, check it, and load it.

    The file [1]_ [2]_ is kept in the user's cache folder, which pooch chooses. Licence: CC BY 4.0.

    Parameters
    ----------
    size : {28, 64, 128, 224}
        Side of the images in pixels. The file for 224 has about 200 MB.

    Returns
    -------
    Dataset
        See `load_pneumoniamnist`.

    Raises
    ------
    ConfigurationError
        If there is no such size.
    MissingExtraError
        If pooch is not installed.
    MissingInputError
        If it cannot be downloaded, or differs from the publisher's MD5.

    See Also
    --------
    load_chest_xray : the same images in full size.

    References
    ----------
    .. [1] J. Yang, R. Shi, D. Wei et al., "MedMNIST v2 - A large-scale lightweight benchmark for
       2D and 3D biomedical image classification", Scientific Data 10, 41, 2023,
       doi:10.1038/s41597-022-01721-8.
    .. [2] The data: doi:10.5281/zenodo.10519652.

    Examples
    --------
    >>> fetch_pneumoniamnist(64)                                        # doctest: +SKIP
    Dataset('PneumoniaMNIST', 5856 images, patients unknown; labels: ...)
    """
    if size not in _MD5:
        raise ConfigurationError(f"size must be one of {', '.join(map(str, _MD5))}, got {size!r}")
    name = "pneumoniamnist.npz" if size == 28 else f"pneumoniamnist_{size}.npz"
    url = f"{_RECORD}/{name}?download=1"
    pooch = _pooch()
    try:
        path = pooch.retrieve(
            url, known_hash=f"md5:{_MD5[size]}", fname=name, path=pooch.os_cache("lungpatch")
        )
    except (OSError, ValueError) as error:  # ValueError: the checksum
        raise MissingInputError(
            f"{url}: cannot be fetched ({error}); try again, or download it elsewhere and use "
            "load_pneumoniamnist"
        ) from error
    return load_pneumoniamnist(path)


def load_pneumoniamnist(path: str | os.PathLike[str]) -> Dataset:
    """Load a PneumoniaMNIST file that is on this machine.

    Licence and citation as in `fetch_pneumoniamnist`.

    Parameters
    ----------
    path : path of a NPZ file
        With ``{train,val,test}_images`` of uint8, shape (N, H, W), and ``{train,val,test}_labels``
        of 0 (normal) and 1 (pneumonia), shape (N, 1). Pickled arrays are refused.

    Returns
    -------
    Dataset
        Images in memory, named by their position in the file (``test-00012``); labels ``normal``
        and ``pneumonia``; the publisher's splits. Patients are not published, and the validation
        images were drawn from the training images by image: a patient can be in both.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ConfigurationError
        If it is not a PneumoniaMNIST file.

    See Also
    --------
    fetch_pneumoniamnist : downloads the file first.

    Examples
    --------
    >>> import tempfile
    >>> arrays = {}
    >>> for split in ("train", "val", "test"):
    ...     arrays[f"{split}_images"] = np.zeros((2, 28, 28), np.uint8)
    ...     arrays[f"{split}_labels"] = np.array([[0], [1]], np.uint8)
    >>> path = Path(tempfile.mkdtemp(), "pneumoniamnist.npz")
    >>> np.savez(path, **arrays)
    >>> images = load_pneumoniamnist(path)
    >>> images
    Dataset('PneumoniaMNIST', 6 images, patients unknown; labels: normal 3, pneumonia 3;
    splits: test 2, training 2, validation 2)
    >>> images.read(3)
    ChestImage('val-00001', 28x28, range [0, 0])
    """
    path = Path(path)
    images: list[NDArray[np.uint8]] = []
    image_ids: list[str] = []
    labels: list[str] = []
    splits: list[str] = []
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            for key, split in _SPLITS.items():
                stack, numbers = arrays[f"{key}_images"], arrays[f"{key}_labels"]
                _check(path, key, stack, numbers)
                images += list(stack)
                image_ids += [f"{key}-{index:05d}" for index in range(len(stack))]
                labels += _LABELS[numbers.ravel()].tolist()
                splits += [split] * len(stack)
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file; check the path") from None
    except ConfigurationError:
        raise
    except KeyError as error:
        raise ConfigurationError(
            f"{path}: lacks an array of PneumoniaMNIST ({error.args[0]}); download it again"
        ) from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigurationError(
            f"{path}: cannot be read as a PneumoniaMNIST file ({error}); download it again"
        ) from error
    return Dataset(
        name="PneumoniaMNIST", images=images, image_ids=image_ids, labels=labels, splits=splits
    )


def _check(path: Path, key: str, stack: NDArray[np.generic], numbers: NDArray[np.generic]) -> None:
    if stack.dtype != np.uint8 or stack.ndim != 3 or 0 in stack.shape[1:]:
        raise ConfigurationError(
            f"{path}: {key}_images must be uint8 of shape (N, H, W), got {stack.dtype} of shape "
            f"{stack.shape}; download it again"
        )
    if (
        numbers.dtype.kind not in "iu"
        or numbers.shape not in ((len(stack),), (len(stack), 1))
        or not np.isin(numbers, (0, 1)).all()
    ):
        raise ConfigurationError(
            f"{path}: {key}_labels must be 0 or 1, one for each of {len(stack)} images, got "
            f"{numbers.dtype} of shape {numbers.shape}; download it again"
        )


def _pooch() -> Any:
    return import_extra(
        "pooch",
        needed_by="fetch_pneumoniamnist",
        extra="datasets",
        otherwise=", or load a file on this machine with load_pneumoniamnist",
    )
