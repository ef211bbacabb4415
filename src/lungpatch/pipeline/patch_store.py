"""Normal patches of many images, kept on disk while a model is trained on them."""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from lungpatch.containers import PatchBatch
from lungpatch.errors import ConfigurationError, LungpatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


class PatchStore:
    """Patches of many images in an unnamed temporary file, which goes when the store is closed.

    Memory does not grow with the number of patches: one of 32 x 32 pixels takes 5 kB of the disk
    that holds temporary files (the environment variable ``TMPDIR`` says which), and a batch is
    read when it is asked for.

    Parameters
    ----------
    patch_size : int
        Side P of the patches, in pixels.

    Examples
    --------
    >>> patches = PatchBatch(
    ...     pixels=np.zeros((5, 8, 8), np.float32), corners=np.zeros((5, 2), np.int64),
    ...     lung=np.ones((5, 8, 8), bool), image_shape=(32, 32), image_id="a")
    >>> with PatchStore(8) as store:
    ...     store.add(patches)
    ...     [len(batch) for batch in store.batches(2)]
    [2, 2, 1]
    """

    def __init__(self, patch_size: int) -> None:
        self._patch_size = patch_size
        square = (patch_size, patch_size)
        # Aligned, so that the fields of a batch are ordinary arrays, not unaligned ones.
        self._record = np.dtype(
            [
                ("corners", np.int64, 2),
                ("extents", np.int64, 2),
                ("pixels", np.float32, square),
                ("lung", np.bool_, square),
            ],
            align=True,
        )
        self._file: IO[bytes] | None = tempfile.TemporaryFile()  # noqa: SIM115 - until close()
        self._count = 0
        # First and one past the last record of each image.
        self._runs: list[tuple[int, int]] = []
        self._image_shape: tuple[int, int] | None = None

    @property
    def patch_size(self) -> int:
        """Side of a patch, in pixels."""
        return self._patch_size

    def __len__(self) -> int:
        return self._count

    @property
    def n_images(self) -> int:
        """Number of images whose patches were added; ``select`` counts them from 0."""
        return len(self._runs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the disk space back; the store cannot be used any more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, batch: PatchBatch) -> None:
        """Append the patches of one image.

        Parameters
        ----------
        batch : PatchBatch
            Of the store's patch size, from images of one shape. May be empty.

        Raises
        ------
        ConfigurationError
            If the patch size, or the shape of the image, is another.
        LungpatchError
            If the store is closed, or the disk is full.
        """
        file = self._open_file()
        if batch.patch_size != self._patch_size:
            raise ConfigurationError(
                f"{batch.image_id}: patches of {batch.patch_size} pixels in a store of patches "
                f"of {self._patch_size}: sample with patch_size={self._patch_size}"
            )
        if self._image_shape not in (None, batch.image_shape):
            raise ConfigurationError(
                f"{batch.image_id}: an image of shape {batch.image_shape} among images of shape "
                f"{self._image_shape}: resize all images alike before sampling"
            )
        records = np.empty(len(batch), self._record)
        records["corners"] = batch.corners
        records["extents"] = batch.extents
        records["pixels"] = batch.pixels
        records["lung"] = batch.lung
        try:
            # From the end of what is complete, so that a failed write leaves no half a patch.
            file.seek(self._count * self._record.itemsize)
            file.write(records.tobytes())
            file.flush()
        except OSError as error:
            raise LungpatchError(
                f"{batch.image_id}: its patches could not be written to {tempfile.gettempdir()} "
                f"({error}): free some space there, or let TMPDIR name a folder on a larger disk"
            ) from error
        self._image_shape = batch.image_shape
        self._runs.append((self._count, self._count + len(batch)))
        self._count += len(batch)

    def batches(self, size: int, *, rng: np.random.Generator | None = None) -> Iterator[PatchBatch]:
        """Yield every patch once, ``size`` at a time.

        Parameters
        ----------
        size : int
            At least 1; the last batch may be smaller.
        rng : numpy.random.Generator, optional
            Shuffles over the patches of all images, anew at every call. By default they come in
            the order in which they were added.

        Yields
        ------
        PatchBatch

        Raises
        ------
        ConfigurationError
            If ``size`` is less than 1.
        LungpatchError
            If the store is closed.
        """
        return self._batches_of(np.arange(len(self)), size, rng)

    def select(self, images: Iterable[int]) -> PatchSelection:
        """Return the patches of some images, as a source of its own.

        Parameters
        ----------
        images : iterable of int
            Which calls of ``add``, counted from 0, in the order wanted.

        Returns
        -------
        PatchSelection
        """
        runs = [np.arange(*self._runs[image]) for image in images]
        return PatchSelection(self, np.concatenate([np.arange(0), *runs]))

    def _batches_of(
        self, records: NDArray[np.int64], size: int, rng: np.random.Generator | None
    ) -> Iterator[PatchBatch]:
        self._open_file()
        if size < 1:
            raise ConfigurationError(f"size must be at least 1, got {size}")
        return self._batches(records if rng is None else rng.permutation(records), size)

    def _batches(self, records: NDArray[np.int64], size: int) -> Iterator[PatchBatch]:
        for start in range(0, len(records), size):
            found = self._read(records[start : start + size])
            assert self._image_shape is not None  # there is at least one patch
            yield PatchBatch(
                pixels=found["pixels"],
                corners=found["corners"],
                extents=found["extents"],
                lung=found["lung"],
                image_shape=self._image_shape,
                image_id=f"{self.n_images} images",
            )

    def _read(self, wanted: NDArray[np.int64]) -> NDArray[Any]:
        """Return the records ``wanted``, read run by run in the order of the disk."""
        # Not a memory map: the kernel maps up to megabytes around each page that is touched, and
        # all of it counts as this process's memory.
        file = self._open_file()
        on_disk = np.argsort(wanted)
        ordered = wanted[on_disk]
        found = np.empty(len(wanted), self._record)
        run_ends = np.flatnonzero(np.diff(ordered) != 1) + 1
        for run, first in zip(
            np.split(found, run_ends), ordered[np.r_[0, run_ends]].tolist(), strict=True
        ):
            file.seek(first * self._record.itemsize)
            run[:] = np.frombuffer(file.read(run.nbytes), self._record)
        records = np.empty_like(found)
        records[on_disk] = found
        return records

    def _open_file(self) -> IO[bytes]:
        if self._file is None:
            raise LungpatchError(
                "this patch store is closed and its patches are gone: use it within its "
                "'with' block"
            )
        return self._file

    def __repr__(self) -> str:
        side = self._patch_size
        closed = ", closed" if self._file is None else ""
        patches = f"{self._count} patches of {side}x{side}"
        return f"PatchStore({patches} from {self.n_images} images{closed})"


class PatchSelection:
    """The patches of some images of a `PatchStore`, in a fixed order; a `PatchSource` itself.

    Parameters
    ----------
    store : PatchStore
        Is read as long as it is open.
    records : ndarray of int64, shape (N,)
        Which of its patches.

    Examples
    --------
    >>> patches = PatchBatch(
    ...     pixels=np.zeros((5, 8, 8), np.float32), corners=np.zeros((5, 2), np.int64),
    ...     lung=np.ones((5, 8, 8), bool), image_shape=(32, 32), image_id="a")
    >>> with PatchStore(8) as store:
    ...     store.add(patches[:2])
    ...     store.add(patches)
    ...     store.select([1])
    PatchSelection(5 patches of 8x8)
    """

    def __init__(self, store: PatchStore, records: NDArray[np.int64]) -> None:
        self._store = store
        self._records = records

    @property
    def patch_size(self) -> int:
        """Side of a patch, in pixels."""
        return self._store.patch_size

    def __len__(self) -> int:
        return len(self._records)

    def batches(self, size: int, *, rng: np.random.Generator | None = None) -> Iterator[PatchBatch]:
        """Yield every patch once, ``size`` at a time; see `PatchStore.batches`."""
        return self._store._batches_of(self._records, size, rng)

    def __repr__(self) -> str:
        side = self.patch_size
        return f"PatchSelection({len(self)} patches of {side}x{side})"
