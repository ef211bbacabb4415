"""The radiograph."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from lungpatch._utils.notebook import NotebookDisplay
from lungpatch._utils.renderings import Rendering, render_grey
from lungpatch.containers.arrays import FloatImage, as_float32, has_ndim, in_unit_range, range_text


@attrs.frozen(eq=False, kw_only=True, repr=False)
class ChestImage(NotebookDisplay):
    """A frontal chest radiograph, bones bright, without any label.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
        Grey levels; 1 is white (bone), 0 is black (air).
    image_id : str
        A name for messages and records; the stem of the file name if the image is from a file.
    pixel_spacing_mm : tuple of float or None
        Distance between the centres of neighbouring ``pixels``, (row, column), in millimetres.
    tags : mapping of str to str
        DICOM tags by keyword that later steps need, such as ``ViewPosition``; empty where the image
        has none.
    source : str
        Where the image comes from: a path, or ``"array"``.
    reading : tuple of str
        What was assumed or done when the image was read, in words: the window or table used, the
        level that became white, an inversion, a mirroring.
    native_shape : tuple of int or None
        Shape of the image before it was resized to the shape of ``pixels``. None stands for the
        shape of ``pixels``.

    Raises
    ------
    ValueError
        If ``pixels`` is not two-dimensional or has values outside [0, 1].

    See Also
    --------
    lungpatch.read_image : Read an image from a file.
    lungpatch.as_chest_image : Make an image from an array of any range.

    Examples
    --------
    >>> import numpy as np
    >>> ChestImage(pixels=np.eye(4, dtype=np.float32), image_id="eye")
    ChestImage('eye', 4x4, range [0, 1])
    """

    pixels: FloatImage = attrs.field(converter=as_float32, validator=[has_ndim(2), in_unit_range])
    image_id: str
    pixel_spacing_mm: tuple[float, float] | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict)
    source: str = "array"
    reading: tuple[str, ...] = ()
    _native_shape: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (H, W) of ``pixels``."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def native_shape(self) -> tuple[int, int]:
        """Shape of the image before it was resized; without resizing, the shape of ``pixels``."""
        return self._native_shape or self.shape

    def _rendering(self) -> Rendering | None:
        return render_grey(self.pixels)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        native = "x".join(map(str, self.native_shape))
        origin = "" if native == size else f" from {native}"
        return f"ChestImage({self.image_id!r}, {size}{origin}, range {range_text(self.pixels)})"
