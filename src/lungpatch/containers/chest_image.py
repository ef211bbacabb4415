"""The radiograph."""

from __future__ import annotations

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
        A name for messages and records; the file's stem where it came from a file.
    pixel_spacing_mm : tuple of float or None
        Distance between pixel centres, (row, column), in millimetres, of ``pixels``.
    source : str
        Where it came from: a path, or ``"array"``.
    native_shape : tuple of int or None
        Shape of the picture as its owner knows it, where ``pixels`` was resized from it; by
        default the shape of ``pixels``.

    Raises
    ------
    ValueError
        If ``pixels`` is not two-dimensional or leaves [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> ChestImage(pixels=np.eye(4, dtype=np.float32), image_id="eye")
    ChestImage('eye', 4x4, range [0, 1])
    """

    pixels: FloatImage = attrs.field(converter=as_float32, validator=[has_ndim(2), in_unit_range])
    image_id: str
    pixel_spacing_mm: tuple[float, float] | None = None
    source: str = "array"
    _native_shape: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (H, W) of ``pixels``."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def native_shape(self) -> tuple[int, int]:
        """Shape of the picture as its owner knows it."""
        return self._native_shape or self.shape

    def _rendering(self) -> Rendering | None:
        return render_grey(self.pixels)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        own = (
            ""
            if self.native_shape == self.shape
            else f" from {'x'.join(map(str, self.native_shape))}"
        )
        return f"ChestImage({self.image_id!r}, {size}{own}, range {range_text(self.pixels)})"
