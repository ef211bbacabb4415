"""The reconstruction: what a model compares, and what it expected."""

from __future__ import annotations

import attrs

from lungpatch.containers.arrays import FloatImage, as_float32, has_ndim, is_finite


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Reconstruction:
    """What a model compares (``target``) and what it expected there (``expected``).

    Parameters
    ----------
    target, expected : ndarray of float32, shape (N, C, h, w)
        For pixel models C = 1 and h = w = P, and ``target`` holds the patches themselves. For
        feature models both are feature maps.

    Raises
    ------
    ValueError
        If the shapes differ, or ``expected`` is not finite.

    See Also
    --------
    PatchScores : Result of comparing the two.

    Examples
    --------
    >>> import numpy as np
    >>> zeros = np.zeros((2, 1, 8, 8), np.float32)
    >>> Reconstruction(target=zeros, expected=zeros)
    Reconstruction(2 patches, 1 channel of 8x8)
    """

    target: FloatImage = attrs.field(converter=as_float32, validator=has_ndim(4))
    expected: FloatImage = attrs.field(converter=as_float32, validator=[has_ndim(4), is_finite])

    def __attrs_post_init__(self) -> None:
        if self.target.shape != self.expected.shape:
            raise ValueError(
                f"target {self.target.shape} and expected {self.expected.shape} must agree"
            )

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: slice) -> Reconstruction:
        """Return the reconstruction of the patches at a slice."""
        return Reconstruction(target=self.target[index], expected=self.expected[index])

    def __repr__(self) -> str:
        count, channels, height, width = self.target.shape
        plural = "" if channels == 1 else "s"
        return f"Reconstruction({count} patches, {channels} channel{plural} of {height}x{width})"
