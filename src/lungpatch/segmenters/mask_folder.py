"""Lung masks read from a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import Component, plain_errors
from lungpatch.containers import BoolImage, ChestImage, LungMask
from lungpatch.errors import InvalidMaskError, MissingInputError
from lungpatch.io import read_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXTENSIONS = (".png", ".tif", ".tiff")


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class MaskFolderSegmenter(Component):
    """Read the mask of each image from a folder of mask files.

    The mask of image ``chest1`` is ``chest1.png``, ``chest1.mask.png`` or ``chest1_mask.png``, or
    one of these as ``.tif`` or ``.tiff``. It must have the shape of the image file; if the image
    was resized, the mask is resized too.

    Parameters
    ----------
    folder : str
        Folder of the masks. It need not exist before the first image is segmented.
    suffixes : tuple of str
        What may stand between the id of an image and the extension of its mask.

    See Also
    --------
    WholeImageSegmenter : A mask of the whole image.
    UNetSegmenter : Finds the lungs.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from PIL import Image
    >>> from lungpatch import ChestImage, MaskFolderSegmenter
    >>> image = ChestImage(pixels=np.zeros((2, 2), np.float32), image_id="chest1")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mask = Image.fromarray(np.array([[0, 255], [0, 255]], np.uint8))
    ...     mask.save(Path(folder) / "chest1_mask.png")
    ...     MaskFolderSegmenter(folder=folder).segment(image)
    LungMask(2x2, 50.0% lung)
    """

    folder: str = attrs.field(converter=os.fspath, validator=validators.instance_of(str))
    suffixes: tuple[str, ...] = attrs.field(
        default=("", ".mask", "_mask"),
        validator=validators.deep_iterable(
            validators.instance_of(str), iterable_validator=validators.instance_of(tuple)
        ),
    )

    def segment(self, image: ChestImage) -> LungMask:
        """Read the mask of ``image``.

        Parameters
        ----------
        image : ChestImage
            Its ``image_id`` names the mask, and its ``native_shape`` is the shape of the mask.

        Returns
        -------
        LungMask
            Of the shape of ``image.pixels``: a pixel is lung if more than half of it is.

        Raises
        ------
        MissingInputError
            If there is no such folder.
        InvalidMaskError
            If the image has no mask or several, or if the mask has another shape or cannot be read.
        """
        path = self._find(image.image_id)
        mask = read_mask(path)
        if mask.shape != image.native_shape:
            raise InvalidMaskError(
                f"{path}: the mask has {_size(mask.shape)} pixels (rows x columns), image "
                f"{image.image_id} has {_size(image.native_shape)}: a mask must have the size "
                "of its image file"
            )
        return LungMask(pixels=_resized(mask, image.shape))

    def _find(self, image_id: str) -> Path:
        folder = Path(self.folder)
        if not folder.is_dir():
            raise MissingInputError(
                f"{folder}: no such folder of masks; set 'folder' of the segmenter 'masks'"
            )
        names = [image_id + suffix + end for suffix in self.suffixes for end in _EXTENSIONS]
        found = [folder / name for name in names if (folder / name).is_file()]
        if not found:
            raise InvalidMaskError(
                f"{image_id}: no mask in {folder}; looked for {', '.join(names)}"
            )
        if len(found) > 1:
            raise InvalidMaskError(
                f"{image_id}: {len(found)} masks in {folder}, {found[0].name} and "
                f"{found[1].name}: keep one"
            )
        return found[0]


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _resized(mask: BoolImage, shape: tuple[int, int]) -> BoolImage:
    """Resize a mask to ``shape``: True where more than half of the area of a pixel was."""
    if mask.shape == shape:
        return mask
    fraction = _area_means(_area_means(mask, shape[0]).T, shape[1]).T
    return fraction > 0.5


def _area_means(values: NDArray[Any], rows: int) -> NDArray[np.float64]:
    """Average each of ``rows`` equal parts of the first axis, which may cut through elements."""
    count = len(values)
    total = np.zeros((count + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=total[1:])
    edges = np.arange(rows + 1) * count / rows
    whole = np.floor(edges).astype(np.int64)
    part = (edges - whole)[:, None] * values[np.minimum(whole, count - 1)]
    means: NDArray[np.float64] = np.diff(total[whole] + part, axis=0) * rows / count
    return means
